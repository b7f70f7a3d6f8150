#include "support/flows.h"

#include "support/kernel.h"

namespace ocvpn::test {

namespace {

bool is_fragment(const Bytes& p) {
  return p[0] >> 4 == 4 && ((p[6] & 0x3f) != 0 || p[7] != 0);
}

Bytes addresses(const Bytes& p) {
  const long at = p[0] >> 4 == 4 ? 12 : 8;
  const long length = p[0] >> 4 == 4 ? 8 : 32;
  return {p.begin() + at, p.begin() + at + length};
}

Bytes comparable(Bytes p) {
  if (p[0] >> 4 != 4 || (p[6] & 0x40) == 0) return p;
  Bytes header(p.begin(), p.begin() + (p[0] & 15) * 4);
  const bool right = model_checksum(header) == 0;
  p[4] = p[5] = p[10] = p[11] = 0;
  p.push_back(right ? 1 : 0);  // but its checksum stays right, or stays wrong
  return p;
}

}  // namespace

Flows by_flow(const std::vector<Bytes>& packets) {
  Flows flows;
  const auto key = [](const Bytes& p) {
    Bytes k = addresses(p);
    const Model m = parse_model(p);
    for (const int part : {m.tcp ? 1 : 2, m.sport >> 8, m.sport & 255, m.dport >> 8, m.dport & 255}) {
      k.push_back(static_cast<uint8_t>(part));
    }
    return k;
  };
  for (const Bytes& p : packets) {
    if (!is_fragment(p)) flows[key(p)];
  }
  for (const Bytes& p : packets) {
    if (!is_fragment(p)) {
      flows[key(p)].push_back(comparable(p));
      continue;
    }
    for (auto& [flow, list] : flows) {
      if (Bytes(flow.begin(), flow.end() - 5) == addresses(p)) list.push_back(comparable(p));
    }
  }
  return flows;
}

}  // namespace ocvpn::test

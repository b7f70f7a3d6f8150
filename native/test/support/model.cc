#include "support/model.h"

#include <cstring>

namespace ocvpn::test {

namespace {

void add8(Bytes& out, unsigned v) { out.push_back(static_cast<uint8_t>(v)); }
void add16(Bytes& out, unsigned v) {
  add8(out, v >> 8);
  add8(out, v & 0xff);
}
void add32(Bytes& out, uint32_t v) {
  add16(out, v >> 16);
  add16(out, v & 0xffff);
}
void add(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }
void set16(Bytes& out, size_t at, unsigned v) {
  out[at] = static_cast<uint8_t>(v >> 8);
  out[at + 1] = static_cast<uint8_t>(v);
}

Bytes build_l4(const Model& m) {
  Bytes out;
  add16(out, m.sport);
  add16(out, m.dport);
  if (m.tcp) {
    add32(out, m.seq);
    add32(out, m.ack);
    add8(out, static_cast<unsigned>((5 + m.tcp_options.size() / 4) << 4 | m.reserved));
    add8(out, m.flags);
    add16(out, m.window);
    add16(out, 0);
    add16(out, m.urgent);
    add(out, m.tcp_options);
  } else {
    add16(out, static_cast<unsigned>(8 + m.payload.size()));
    add16(out, 0);
  }
  add(out, m.payload);
  if (m.tcp || !m.udp_no_checksum) {
    uint16_t sum = model_checksum(concat(model_pseudo_header(m, out.size()), out));
    if (!m.tcp && sum == 0) sum = 0xffff;
    set16(out, m.tcp ? 16 : 6, sum);
  }
  return out;
}

Bytes build_ip(const Model& m, size_t l4_length) {
  Bytes out;
  const unsigned protocol = m.tcp ? 6 : 17;
  if (m.version == 4) {
    add8(out, static_cast<unsigned>(0x40 | (5 + m.ip_options.size() / 4)));
    add8(out, m.tos);
    add16(out, static_cast<unsigned>(m.ip_header() + l4_length));
    add16(out, m.id);
    add16(out, m.df ? 0x4000 : 0);
    add8(out, m.ttl);
    add8(out, protocol);
    add16(out, 0);
    add(out, m.src);
    add(out, m.dst);
    add(out, m.ip_options);
    set16(out, 10, model_checksum(out));
    return out;
  }
  add32(out, 6u << 28 | static_cast<uint32_t>(m.tos) << 20 | m.flow_label);
  add16(out, static_cast<unsigned>(m.ip_header() - 40 + l4_length));
  add8(out, m.extensions.empty() ? protocol : m.extensions[0].type);
  add8(out, m.ttl);
  add(out, m.src);
  add(out, m.dst);
  for (size_t i = 0; i < m.extensions.size(); ++i) {
    const size_t start = out.size();
    add(out, m.extensions[i].bytes);
    out[start] = static_cast<uint8_t>(i + 1 < m.extensions.size() ? m.extensions[i + 1].type : protocol);
  }
  return out;
}

}  // namespace

Bytes concat(const Bytes& a, const Bytes& b) {
  Bytes out = a;
  add(out, b);
  return out;
}

size_t Model::ip_header() const {
  if (version == 4) return 20 + ip_options.size();
  size_t length = 40;
  for (const Extension& e : extensions) length += e.bytes.size();
  return length;
}

uint16_t model_checksum(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    sum += static_cast<uint32_t>(bytes[i] << 8) | (i + 1 < bytes.size() ? bytes[i + 1] : 0u);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

Bytes model_pseudo_header(const Model& m, size_t l4_length) {
  Bytes out = concat(m.src, m.final_dst.empty() ? m.dst : m.final_dst);
  if (m.version == 4) {
    add16(out, m.tcp ? 6 : 17);
    add16(out, static_cast<unsigned>(l4_length));
  } else {
    add32(out, static_cast<uint32_t>(l4_length));
    add32(out, m.tcp ? 6 : 17);
  }
  return out;
}

Bytes build(const Model& m) {
  const Bytes l4 = build_l4(m);
  return concat(build_ip(m, l4.size()), l4);
}

std::vector<Model> model_segments(const Model& m, size_t mss) {
  std::vector<Model> out;
  size_t at = 0;
  do {
    const size_t end = at + mss < m.payload.size() ? at + mss : m.payload.size();
    Model s = m;
    s.payload = Bytes(m.payload.begin() + static_cast<long>(at), m.payload.begin() + static_cast<long>(end));
    s.id = static_cast<uint16_t>(m.id + out.size());
    s.seq = m.seq + static_cast<uint32_t>(at);
    if (end != m.payload.size()) s.flags &= 0xf6;  // FIN, PSH: last only
    if (at != 0) s.flags &= 0x7f;                  // CWR: first only
    if ((m.flags & 0x20) != 0 && at != 0) {        // URG: the pointer counts from seq
      if (m.urgent > at) {
        s.urgent = static_cast<uint16_t>(m.urgent - at);
      } else {
        s.flags &= 0xdf;
        s.urgent = 0;
      }
    }
    out.push_back(s);
    at = end;
  } while (at < m.payload.size());
  return out;
}

Model random_model(Random& random, int version, bool tcp, size_t payload, bool plain) {
  Model m;
  m.version = version;
  m.tcp = tcp;
  m.src = random.bytes(version == 4 ? 4 : 16);
  m.dst = random.bytes(version == 4 ? 4 : 16);
  m.tos = static_cast<uint8_t>(random.next());
  m.ttl = static_cast<uint8_t>(random.between(1, 255));
  m.id = static_cast<uint16_t>(random.next());
  m.df = !random.one_in(3);
  m.flow_label = static_cast<uint32_t>(random.below(1 << 20));
  if (!plain && random.one_in(2)) {
    m.ip_options = random.bytes(4 * random.between(1, 10));
    for (uint64_t i = random.between(1, 3); i > 0; --i) {
      const uint64_t units = random.below(4);
      Extension e{static_cast<uint8_t>(random.one_in(2) ? 60 : 43), random.bytes(8 * (units + 1))};
      e.bytes[1] = static_cast<uint8_t>(units);
      m.extensions.push_back(e);
    }
  }
  m.sport = static_cast<uint16_t>(random.next());
  m.dport = static_cast<uint16_t>(random.next());
  m.seq = static_cast<uint32_t>(random.next());
  if (random.one_in(3)) m.seq = 0xffffffff - static_cast<uint32_t>(random.below(3000));  // wraps around
  m.ack = static_cast<uint32_t>(random.next());
  m.window = static_cast<uint16_t>(random.next());
  if (random.one_in(2)) m.tcp_options = random.bytes(4 * random.between(0, 10));
  m.payload = random.bytes(payload);
  return m;
}

Bytes model_vnet(uint8_t flags, uint8_t gso_type, uint16_t hdr_len, uint16_t gso_size, uint16_t csum_start,
                 uint16_t csum_offset) {
  Bytes out(10);
  out[0] = flags;
  out[1] = gso_type;
  const uint16_t fields[4] = {hdr_len, gso_size, csum_start, csum_offset};  // in the machine's order
  std::memcpy(out.data() + 2, fields, sizeof fields);
  return out;
}

Bytes model_super_frame(const Model& m, size_t mss) {
  Bytes packet = build(m);
  const size_t l4 = m.ip_header();
  const size_t field = m.tcp ? 16 : 6;
  const auto pseudo = static_cast<uint16_t>(~model_checksum(model_pseudo_header(m, packet.size() - l4)));
  set16(packet, l4 + field, pseudo);
  uint8_t type = 5;
  if (m.tcp) type = m.version == 4 ? 1 : 4;
  return concat(model_vnet(1, type, static_cast<uint16_t>(m.headers()), static_cast<uint16_t>(mss),
                           static_cast<uint16_t>(l4), static_cast<uint16_t>(field)),
                packet);
}

}  // namespace ocvpn::test

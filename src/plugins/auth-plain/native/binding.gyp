{
  "variables": { "node_shared_openssl%": "false" },
  "targets": [
    {
      "target_name": "ocvpn_crypt",
      "sources": [ "crypt_binding.cc", "sha_crypt.cc" ],
      "include_dirs": [ "<!(node -p \"require('node-addon-api').include_dir\")" ],
      "defines": [ "NAPI_VERSION=9", "NODE_ADDON_API_DISABLE_DEPRECATED", "NAPI_DISABLE_CPP_EXCEPTIONS" ],
      "cflags_cc": [ "-std=c++17", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fno-exceptions", "-fvisibility=hidden" ],
      "cflags_cc!": [ "-std=gnu++20", "-fno-rtti" ],
      "libraries": [ "-lcrypt" ],
      "conditions": [ [ "node_shared_openssl=='true'", { "libraries": [ "-lcrypto" ] } ] ]
    }
  ]
}

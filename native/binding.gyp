{
  "variables": { "node_shared_openssl%": "false", "sanitize%": 0 },
  "targets": [
    {
      "target_name": "ocvpn",
      "sources": [ "<!@(cd <(module_root_dir) && find src -name '*.cc' | LC_ALL=C sort)" ],
      "include_dirs": [ "src", "<!(node -p \"require('node-addon-api').include_dir\")" ],
      "defines": [ "NAPI_VERSION=9", "NODE_ADDON_API_DISABLE_DEPRECATED", "NAPI_DISABLE_CPP_EXCEPTIONS",
                   "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS" ],
      "cflags_cc": [ "-std=c++17", "-O2", "-g1", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fno-exceptions", "-fvisibility=hidden" ],
      "cflags_cc!": [ "-std=gnu++20", "-fno-rtti" ],
      # Symbols of OpenSSL are looked up once, not again in each process of a session.
      "ldflags": [ "-Wl,-z,now" ],
      "conditions": [
        [ "node_shared_openssl=='true'", { "libraries": [ "-lssl", "-lcrypto" ] } ],
        [ "sanitize==1", { "cflags_cc": [ "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer" ], "ldflags": [ "-fsanitize=address,undefined" ] } ]
      ]
    }
  ]
}

{
  "targets": [
    {
      "target_name": "postcopy",
      "sources": ["<!@(find native -path native/guest -prune -o -name '*.c' -print -o -name '*.cc' -print | sort)"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")", "native"],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_CPP_EXCEPTIONS",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
        "_FILE_OFFSET_BITS=64"
      ],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags": ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-fvisibility=hidden"],
      "cflags_cc": ["-std=c++20"]
    },
    {
      "target_name": "guest",
      "type": "none",
      "actions": [
        {
          "action_name": "build_guest",
          "inputs": ["<!@(find native/guest -type f | sort)"],
          "outputs": ["<(PRODUCT_DIR)/guest.elf"],
          "action": ["sh", "native/guest/build.sh", "<(PRODUCT_DIR)/guest.elf"]
        }
      ]
    }
  ]
}

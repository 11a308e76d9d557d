{
  "variables": {
    "addon_sources": [
      "native/addon.cc",
      "native/util/errors.cc",
      "native/util/process.cc",
      "native/memory/ram.cc",
      "native/memory/data_extents.cc",
      "native/memory/guest_memory.cc",
      "native/userfaultfd/userfaultfd.cc",
      "native/socket/stream.cc",
      "native/socket/address.cc",
      "native/socket/socket.cc",
      "native/kvm/flexible_structs.c",
      "native/kvm/kvm.cc",
      "native/kvm/vm.cc",
      "native/kvm/exit_queue.cc",
      "native/kvm/vcpu_thread.cc",
      "native/kvm/vcpu_state.cc",
      "native/kvm/vcpu.cc"
    ]
  },
  "targets": [
    {
      "target_name": "postcopy",
      "sources": ["<@(addon_sources)"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")", "native"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_FILE_OFFSET_BITS=64"],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-fvisibility=hidden", "-O2"]
    },
    {
      "target_name": "guest",
      "type": "none",
      "actions": [
        {
          "action_name": "build_guest",
          "inputs": ["<!@(ls native/guest/*)"],
          "outputs": ["<(PRODUCT_DIR)/guest.elf"],
          "action": ["sh", "native/guest/build.sh", "<(PRODUCT_DIR)/guest.elf"]
        }
      ]
    }
  ]
}

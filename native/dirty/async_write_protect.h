#pragma once
#include <linux/userfaultfd.h>

// Write-protection that the kernel takes off by itself came with Linux 6.7; Debian 12's headers are older. Definitions
// as in the kernel's uapi <linux/userfaultfd.h>, used only where the header lacks them.
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

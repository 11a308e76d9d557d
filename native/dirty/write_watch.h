#pragma once
#include <linux/fs.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "dirty/dirty_log.h"
#include "memory/pagemap_scan.h"
#include "util/descriptor.h"

namespace postcopy {

// A dirty log by userfaultfd(2): pages that hold data are write-protected, the kernel takes that off when somebody
// writes, without telling anybody, and PAGEMAP_SCAN finds where it is off. It sees every write through this mapping:
// vCPUs', devices', our own. Linux 6.7.
//
// Pages that hold nothing are left alone: one that comes to hold data is not protected, and is told. Protecting them
// would leave markers in the page table that look like swapped pages to Ram::DataExtents().
class WriteWatch : public DirtyLog {
 public:
  // Throws std::system_error: EINVAL or ENOSYS if the kernel is too old, EBUSY if another userfaultfd has the RAM.
  explicit WriteWatch(std::shared_ptr<Ram> ram);

 protected:
  void Start() override;
  std::vector<Ram::Extent> Take() override;
  void Stop() override;

 private:
  using Regions = std::vector<page_region>;

  // The runs of pages among these addresses that hold data and are not protected, behind what is there; protects them
  // in the same moment, if asked to.
  void Scan(const page_region& among, bool protect, Regions& written);
  // What of these addresses is written, as pages; protects it.
  void TakeFrom(const page_region& among, std::vector<Ram::Extent>& written);

  // Calls `act` with one part of RAM after the other.
  template <typename Act>
  void ForParts(const Act& act) const;

  std::shared_ptr<Ram> ram_;
  Descriptor userfaultfd_;
  Descriptor pagemap_;
  Regions buffer_;
};

}  // namespace postcopy

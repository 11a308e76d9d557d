/* Answers `cpuinfo`. */
#ifndef GUEST_CPUINFO_H
#define GUEST_CPUINFO_H

void write_cpuinfo(void);

#endif

/** Bits of the ACPI fixed registers (ACPI 6.5, 4.8.3), which the FADT and DSDT promise and the device implements. */

/** PM1 status and enable registers (tables 4.12 and 4.13): the fixed power button. */
export const PM1_PWRBTN = 1 << 8;

/** PM1 control register (table 4.14). SCI_EN: ACPI mode, always on, for there is no SMI to switch with. */
export const PM1_CNT_SCI_EN = 1 << 0;
export const PM1_CNT_BM_RLD = 1 << 1;
export const PM1_CNT_SLP_TYP_SHIFT = 10;
export const PM1_CNT_SLP_TYP_MASK = 0x7;
/** Write-only: go to the sleep state in SLP_TYP. */
export const PM1_CNT_SLP_EN = 1 << 13;

/** SLP_TYP of S5, soft off; what \_S5 in the DSDT says. */
export const SLP_TYP_S5 = 5;

/** Rate of the power-management timer, Hz (ACPI 6.5, 4.8.3.3). */
export const PM_TIMER_HZ = 3_579_545;

/** Value to write to the reset control register: RST_CPU and SYS_RST. */
export const RESET_VALUE = 0x06;

/** No register of the chip's: where PCs keep the century. The FADT says so to the guest (field CENTURY). */
export const RTC_CENTURY = 0x32;

import { viewOf } from '../memory/byte-view.js';
import { IOAPIC_PINS, TIMER_IOAPIC_PIN } from '../memory/layout.js';

// <linux/kvm.h>: struct kvm_irq_routing_entry { gsi, type, flags, pad, union }, union at 16 for irqchip { irqchip, pin }.
const IRQ_ROUTING_ENTRY_BYTES = 48;
const TYPE_OFFSET = 4;
const IRQCHIP_OFFSET = 16;
const PIN_OFFSET = 20;
const KVM_IRQ_ROUTING_IRQCHIP = 1;
const KVM_IRQCHIP_PIC_MASTER = 0;
const KVM_IRQCHIP_PIC_SLAVE = 1;
const KVM_IRQCHIP_IOAPIC = 2;
const PIC_PINS = 8;
const TIMER_GSI = 0;
/** Where the second 8259 is joined to the first. */
const CASCADE_PIN = 2;

/**
 * Entries for KVM_SET_GSI_ROUTING, packed, without the header: GSIs 0-15 reach the 8259s, 0-23 the I/O APIC, as on a PC.
 * KVM's own default leads GSI 0, the PIT, to I/O APIC pin 0, where the MADT's override does not look for it.
 */
export function interruptRouting(): Uint8Array {
  const routes = [...picRoutes(), ...ioapicRoutes()];
  const bytes = new Uint8Array(routes.length * IRQ_ROUTING_ENTRY_BYTES);
  const view = viewOf(bytes);
  routes.forEach(([gsi, chip, pin], index) => {
    const at = index * IRQ_ROUTING_ENTRY_BYTES;
    view.setUint32(at, gsi, true);
    view.setUint32(at + TYPE_OFFSET, KVM_IRQ_ROUTING_IRQCHIP, true);
    view.setUint32(at + IRQCHIP_OFFSET, chip, true);
    view.setUint32(at + PIN_OFFSET, pin, true);
  });
  return bytes;
}

type Route = [gsi: number, chip: number, pin: number];

function picRoutes(): Route[] {
  const routes: Route[] = [];
  for (let gsi = 0; gsi < 2 * PIC_PINS; gsi++) {
    if (gsi === CASCADE_PIN) continue;
    routes.push([gsi, gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % PIC_PINS]);
  }
  return routes;
}

function ioapicRoutes(): Route[] {
  const routes: Route[] = [];
  for (let gsi = 0; gsi < IOAPIC_PINS; gsi++) {
    if (gsi === TIMER_IOAPIC_PIN) continue;
    routes.push([gsi, KVM_IRQCHIP_IOAPIC, gsi === TIMER_GSI ? TIMER_IOAPIC_PIN : gsi]);
  }
  return routes;
}

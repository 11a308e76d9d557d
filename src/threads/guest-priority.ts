/**
 * Priority of the vCPUs: a guest whose pages are on their way goes before the worker that brings them, where both share
 * a core. That worker is never idle; a vCPU runs until it touches the next page that is missing. (Their threads are made
 * while the main thread has a priority of its own, which they would keep.)
 */
import type { NativeVcpu } from '../native.js';
import { USUAL_NICE } from './main-priority.js';

/** Three times the weight of the worker's. More makes the push longer, and faults none shorter. */
const PULLING_NICE = Math.max(-20, USUAL_NICE - 5);

export function raiseGuest(vcpus: readonly NativeVcpu[]): void {
  for (const vcpu of vcpus) vcpu.setNice(PULLING_NICE);
}

export function lowerGuest(vcpus: readonly NativeVcpu[]): void {
  for (const vcpu of vcpus) vcpu.setNice(USUAL_NICE);
}

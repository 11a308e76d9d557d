/** Made by `npm run schema` from answer-schemas.ts and migrate/options.ts. */
import type { LightOption, LightSchema } from './light-schema.js';

export const STATUS: LightSchema = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    pid: { type: 'number' },
    version: { type: 'string' },
    machine: { type: 'string' },
    state: { type: 'string' },
    problem: { type: 'string' },
    facts: { type: 'array', items: { type: 'object', properties: { kind: { type: 'string' } }, required: ['kind'] } },
    awaits: { type: 'string' },
    panickedAt: { type: 'number' },
    lostPages: { type: 'number' },
    memoryBytes: { type: 'number' },
    cpu: { type: 'string' },
    cpus: { type: 'number' },
    uptimeMs: { type: 'number' },
    listen: { type: 'string' },
    peer: { type: 'string' },
    migration: {
      type: 'object',
      properties: {
        phase: { type: 'string' },
        pagesLeft: { type: 'number' },
        pagesTotal: { type: 'number' },
        bytesPerSecond: { type: 'number' },
        faultsWaiting: { type: 'number' },
        elapsedMs: { type: 'number' },
        bandwidth: { type: 'number' },
        round: {
          type: 'object',
          properties: { number: { type: 'number' }, dirtyPagesPerSecond: { type: 'number' } },
          required: ['number', 'dirtyPagesPerSecond'],
        },
        link: {
          type: 'object',
          properties: { roundTripUs: { type: 'number' }, bytesPerSecond: { type: 'number' } },
          required: ['roundTripUs', 'bytesPerSecond'],
        },
      },
      required: ['phase', 'pagesLeft', 'pagesTotal', 'bytesPerSecond', 'faultsWaiting', 'elapsedMs'],
    },
    arrival: {
      type: 'object',
      properties: {
        pagesMissing: { type: 'number' },
        bytesMissing: { type: 'number' },
        bytesPerSecond: { type: 'number' },
        leftMs: { type: 'number' },
        faultsWaiting: { type: 'number' },
      },
      required: ['pagesMissing', 'bytesMissing', 'bytesPerSecond', 'faultsWaiting'],
    },
    interruption: {
      type: 'object',
      properties: {
        since: { type: 'number' },
        reason: { type: 'string' },
        pagesMissing: { type: 'number' },
        faultsWaiting: { type: 'number' },
        attempts: { type: 'number' },
        lastError: { type: 'string' },
        nextTryAt: { type: 'number' },
      },
      required: ['since', 'reason', 'pagesMissing', 'faultsWaiting'],
    },
    disks: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          id: { type: 'string' },
          path: { type: 'string' },
          readonly: { type: 'boolean' },
          onError: { type: 'string' },
          errors: {
            type: 'object',
            properties: { count: { type: 'number' }, last: { type: 'string' }, at: { type: 'number' } },
            required: ['count', 'last', 'at'],
          },
        },
        required: ['id', 'path', 'readonly'],
      },
    },
    nets: {
      type: 'array',
      items: {
        type: 'object',
        properties: { id: { type: 'string' }, mac: { type: 'string' }, tap: { type: 'string' } },
        required: ['id', 'mac', 'tap'],
      },
    },
    rights: {
      type: 'object',
      properties: {
        noNewPrivileges: { type: 'boolean' },
        callFilter: { type: 'boolean' },
        capabilities: { type: 'array', items: { type: 'string' } },
      },
      required: ['noNewPrivileges', 'callFilter', 'capabilities'],
    },
  },
  required: ['name', 'pid', 'version', 'machine', 'state', 'memoryBytes', 'cpus', 'uptimeMs'],
};

export const FACTS: LightSchema = {
  type: 'array',
  items: { type: 'object', properties: { kind: { type: 'string' } }, required: ['kind'] },
};

export const PROGRESS: LightSchema = {
  type: 'object',
  properties: {
    phase: { type: 'string' },
    pagesLeft: { type: 'number' },
    pagesTotal: { type: 'number' },
    bytesPerSecond: { type: 'number' },
    faultsWaiting: { type: 'number' },
    elapsedMs: { type: 'number' },
    bandwidth: { type: 'number' },
    round: {
      type: 'object',
      properties: { number: { type: 'number' }, dirtyPagesPerSecond: { type: 'number' } },
      required: ['number', 'dirtyPagesPerSecond'],
    },
    link: {
      type: 'object',
      properties: { roundTripUs: { type: 'number' }, bytesPerSecond: { type: 'number' } },
      required: ['roundTripUs', 'bytesPerSecond'],
    },
  },
  required: ['phase', 'pagesLeft', 'pagesTotal', 'bytesPerSecond', 'faultsWaiting', 'elapsedMs'],
};

export const MEASURE: LightSchema = {
  type: 'object',
  properties: {
    pages: { type: 'number' },
    dataPages: { type: 'number' },
    cpus: { type: 'number' },
    xsaveBytes: { type: 'number' },
    written: {
      type: 'array',
      items: {
        type: 'object',
        properties: { ms: { type: 'number' }, pages: { type: 'number' } },
        required: ['ms', 'pages'],
      },
    },
  },
  required: ['pages', 'dataPages', 'cpus', 'xsaveBytes', 'written'],
};

export const SUMMARY: LightSchema = {
  type: 'object',
  properties: {
    status: { type: 'string' },
    mode: { type: 'string' },
    machine: { type: 'string' },
    error: {
      type: 'object',
      properties: {
        code: { type: 'string' },
        message: { type: 'string' },
        facts: {
          type: 'array',
          items: { type: 'object', properties: { kind: { type: 'string' } }, required: ['kind'] },
        },
      },
      required: ['code', 'message'],
    },
    inDoubt: { type: 'boolean' },
    totalMs: { type: 'number' },
    downtimeMs: { type: 'number' },
    downtimeParts: {
      type: 'object',
      properties: {
        stop: { type: 'number' },
        save: { type: 'number' },
        copy: { type: 'number' },
        map: { type: 'number' },
        transfer: { type: 'number' },
        load: { type: 'number' },
        commit: { type: 'number' },
        start: { type: 'number' },
      },
      required: ['stop', 'save', 'map', 'transfer', 'load', 'commit', 'start'],
    },
    findings: {
      type: 'array',
      items: {
        type: 'object',
        properties: { what: { type: 'string' }, result: { type: 'string' } },
        required: ['what', 'result'],
      },
    },
    channels: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          kind: { type: 'string' },
          index: { type: 'number' },
          roundTripUs: { type: 'number' },
          bytesPerSecond: { type: 'number' },
          segmentBytes: { type: 'number' },
          mtu: { type: 'number' },
        },
        required: ['kind', 'index', 'roundTripUs', 'bytesPerSecond'],
      },
    },
    bandwidth: { type: 'number' },
    wireBytes: { type: 'number' },
    pages: {
      type: 'object',
      properties: {
        total: { type: 'number' },
        sent: { type: 'number' },
        demanded: { type: 'number' },
        pushed: { type: 'number' },
        copied: { type: 'number' },
        absent: { type: 'number' },
        zero: { type: 'number' },
        resent: { type: 'number' },
      },
      required: ['total', 'sent', 'demanded', 'pushed', 'absent', 'zero', 'resent'],
    },
    rounds: {
      type: 'object',
      properties: { count: { type: 'number' }, ms: { type: 'number' } },
      required: ['count', 'ms'],
    },
    watched: {
      type: 'object',
      properties: { ms: { type: 'number' }, pages: { type: 'number' } },
      required: ['ms', 'pages'],
    },
    faultWaitUs: {
      type: 'object',
      properties: {
        count: { type: 'number' },
        mean: { type: 'number' },
        p50: { type: 'number' },
        p90: { type: 'number' },
        p99: { type: 'number' },
        max: { type: 'number' },
      },
      required: ['count', 'mean', 'p50', 'p90', 'p99', 'max'],
    },
    vcpuBlockedMs: { type: 'number' },
    memory: {
      type: 'object',
      properties: {
        sourcePeakBytes: { type: 'number' },
        destinationPeakBytes: { type: 'number' },
        sumPeakBytes: { type: 'number' },
      },
      required: ['sourcePeakBytes', 'destinationPeakBytes', 'sumPeakBytes'],
    },
  },
  required: [
    'status',
    'mode',
    'machine',
    'totalMs',
    'downtimeMs',
    'downtimeParts',
    'wireBytes',
    'pages',
    'faultWaitUs',
    'vcpuBlockedMs',
    'memory',
  ],
};

export const MIGRATE_OPTIONS: readonly LightOption[] = [
  {
    name: 'channels',
    description: 'Connections that carry the pages that nobody has asked for yet.',
    default: 1,
    value: { type: 'integer', minimum: 1, maximum: 16, unit: 'connections' },
  },
  {
    name: 'prefetch',
    description: 'In which order pages are sent that nobody has asked for yet.',
    default: 'in-order',
    value: { type: 'choice', choices: ['in-order', 'near-faults', 'streams', 'auto', 'recent'] },
  },
  {
    name: 'watch',
    description: 'How long it is watched where the guest writes, which is then sent first.',
    value: { type: 'integer', minimum: 1, maximum: 30, unit: 'seconds' },
  },
  {
    name: 'bandwidth',
    description: 'How many bytes are sent per second at most. Pages that the guest waits for are not held back.',
    value: { type: 'rate', minimum: 65536, maximum: 1099511627776 },
  },
  {
    name: 'mode',
    description: 'When pages cross: behind the hand-over, before it, or before and behind it.',
    default: 'post-copy',
    value: { type: 'choice', choices: ['post-copy', 'pre-copy', 'hybrid'] },
  },
  {
    name: 'downtime',
    description: 'How long the guest may stand still in pre-copy.',
    default: 300,
    value: { type: 'integer', minimum: 1, maximum: 60000, unit: 'milliseconds' },
  },
  {
    name: 'timeout',
    description: 'How long pages may be sent before the hand-over.',
    default: 300,
    value: { type: 'integer', minimum: 1, maximum: 86400, unit: 'seconds' },
  },
  {
    name: 'onTimeout',
    description:
      'What comes then in pre-copy: the rest behind the hand-over, the guest stopped until the rest is sent, or no move.',
    default: 'post-copy',
    value: { type: 'choice', choices: ['post-copy', 'stop', 'cancel'] },
  },
  {
    name: 'wait',
    description: 'Waits until all of a VM that is still arriving is here, and moves it then.',
    default: false,
    value: { type: 'flag' },
  },
  {
    name: 'dryRun',
    description:
      'Does all that comes before the guest is stopped, says what was found, and leaves both ends as they were.',
    default: false,
    value: { type: 'flag' },
  },
];

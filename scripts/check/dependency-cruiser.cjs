/**
 * The law of imports: down, never up, and never round in a circle; an import of types alone counts as well.
 *
 * HOUSE is src, its top floor first. A line is a floor, and has rooms: folders, or files without their ".ts". A room may
 * import itself and the rooms of the floors below it, but not its neighbours. A room inside of another's folder
 * (migrate/wire) has the law of its own line.
 */
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const HOUSE = [
  ['index'],
  ['cli'],
  ['bench', 'doctor'],
  ['trial'],
  ['control'],
  ['vm'],
  ['migrate/workers'],
  ['migrate/source', 'migrate/destination'],
  ['migrate/prefetch', 'migrate/flow'],
  ['migrate/link', 'migrate/report'],
  ['migrate/wire', 'migrate/hand-over', 'migrate/options'],
  ['machine'],
  ['host', 'console', 'threads'],
  ['devices', 'boot', 'configure', 'watch'],
  ['acpi'],
  ['memory'],
  ['basics'],
  ['native', 'errors', 'version'],
];

/** Imports that break the law and are known, by file. One that is gone has to be struck off: the list only shrinks. */
const KNOWN = {
  'src/host/disk-holder.ts': ['src/control/client.ts', 'src/control/runtime-directory.ts'],
};

const rooms = HOUSE.flat();
const pathOf = (names) => `^src/(${names.join('|')})(/|\\.ts$)`;
const exactly = (files) => files.map((file) => `^${file.replaceAll('.', '\\.')}$`);
const isIn = (room) => (file) => new RegExp(pathOf([room])).test(file);

/** What the files of a room, and each of its files with known imports, may not import. */
function lawOf(room, below) {
  const known = Object.keys(KNOWN).filter(isIn(room));
  const inside = rooms.filter((other) => other.startsWith(`${room}/`)).map((other) => pathOf([other]));
  const law = (from, besides) => ({
    name: `down-from-${room}`,
    severity: 'error',
    from,
    to: { path: '^src/', pathNot: [pathOf([room, ...below]), ...exactly(besides)] },
  });
  return [
    law({ path: pathOf([room]), pathNot: [...inside, ...exactly(known)] }, []),
    ...known.map((file) => law({ path: exactly([file]) }, KNOWN[file])),
  ];
}

const gone = Object.keys(KNOWN).filter((file) => !existsSync(join(__dirname, '../..', file)));
if (gone.length > 0) throw new Error(`the known imports of ${gone} have gone: strike them off in ${__filename}`);

module.exports = {
  forbidden: [
    ...HOUSE.flatMap((floor, level) => floor.flatMap((room) => lawOf(room, HOUSE.slice(level + 1).flat()))),
    { name: 'every-file-has-a-room', severity: 'error', from: { path: '^src/', pathNot: pathOf(rooms) }, to: {} },
    {
      name: 'no-circles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { pathNot: exactly(Object.keys(KNOWN)) } },
    },
    { name: 'src-imports-no-test', severity: 'error', from: { path: '^src/' }, to: { path: '^(test|scripts)/' } },
    {
      name: 'src-imports-what-is-installed-with-it',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown'] },
    },
    { name: 'imports-what-is-there', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  required: Object.entries(KNOWN).flatMap(([file, imports]) =>
    imports.map((known) => ({
      name: `known-import-is-gone:-strike-off-${known}`,
      severity: 'error',
      module: { path: exactly([file]) },
      to: { path: exactly([known]) },
    })),
  ),
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'] },
  },
};

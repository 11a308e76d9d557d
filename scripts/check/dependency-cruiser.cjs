/**
 * The law of imports: down, never up, and never round in a circle; an import of types alone counts as well.
 *
 * HOUSE is src, its top floor first. A line is a floor, and has rooms: folders, or files without their ".ts". A room may
 * import itself and the rooms of the floors below it, but not its neighbours. A room inside of another's folder
 * (migrate/wire) has the law of its own line.
 */

const HOUSE = [
  ['index'],
  ['cli'],
  ['bench', 'doctor', 'forecast'],
  ['trial', 'replay'],
  ['control'],
  ['vm'],
  ['migrate/workers'],
  ['migrate/source', 'migrate/destination'],
  ['migrate/prefetch', 'migrate/flow'],
  ['migrate/link', 'migrate/report'],
  ['migrate/hand-over'],
  ['migrate/wire'],
  ['migrate/options'],
  ['machine'],
  ['host', 'console', 'threads', 'confine'],
  ['devices', 'boot', 'watch'],
  ['configure'],
  ['acpi'],
  ['memory'],
  ['basics'],
  ['native', 'errors', 'version'],
];

const rooms = HOUSE.flat();
const pathOf = (names) => `^src/(${names.join('|')})(/|\\.ts$)`;

/** What the files of a room may not import. */
function lawOf(room, below) {
  const inside = rooms.filter((other) => other.startsWith(`${room}/`)).map((other) => pathOf([other]));
  return {
    name: `down-from-${room}`,
    severity: 'error',
    from: { path: pathOf([room]), pathNot: inside },
    to: { path: '^src/', pathNot: pathOf([room, ...below]) },
  };
}

module.exports = {
  forbidden: [
    ...HOUSE.flatMap((floor, level) => floor.map((room) => lawOf(room, HOUSE.slice(level + 1).flat()))),
    { name: 'every-file-has-a-room', severity: 'error', from: { path: '^src/', pathNot: pathOf(rooms) }, to: {} },
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'src-imports-no-test', severity: 'error', from: { path: '^src/' }, to: { path: '^(test|scripts)/' } },
    {
      name: 'src-imports-what-is-installed-with-it',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown'] },
    },
    { name: 'imports-what-is-there', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'] },
  },
};

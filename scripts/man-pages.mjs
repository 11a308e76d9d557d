/**
 * Makes the man pages of src/manual, dist/man/NAME.SECTION: each NAME.SECTION.md there. `npm run build:man`.
 *
 *   node scripts/man-pages.mjs [DIRECTORY]
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Marked } from 'marked';
import markedMan from 'marked-man';

const root = new URL('..', import.meta.url).pathname;
const source = join(root, 'src/manual');
const target = process.argv[2] ?? join(root, 'dist/man');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const PAGE = /^(.+\.[1-9])\.md$/;
const OPTION = /^(\\fB.*?\\fP(?: \(\\fB\S+\\fP\))?):\s+(.*)$/s;

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const file of readdirSync(source)) {
  const name = PAGE.exec(file)?.[1];
  if (name !== undefined) writeFileSync(join(target, name), manPage(readFileSync(join(source, file), 'utf8')));
}

/** Dated by SOURCE_DATE_EPOCH where that is set, as marked-man does it: two builds make the same page. */
function manPage(markdown) {
  const marked = new Marked(
    { ...markedMan, breaks: false, manual: 'postcopy', manVersion: `postcopy ${version}` },
    { renderer: { listitem }, extensions: [{ name: 'link', renderer: linkInside }] },
  );
  const page = marked.parse(markdown);
  // What marked-man leaves of HTML, and the blank lines around code and tables that it leaves out.
  return page
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', '\\(aq')
    .replaceAll('.RS 2\n.nf\n', '.PP\n.RS 4\n.nf\n')
    .replaceAll('\n.TE\n', '\n.TE\n.sp\n');
}

/** What begins with a term and a colon, options and exit codes, is set as a manual sets it: the text indented below. */
function listitem(text) {
  const option = OPTION.exec(text.trim().replace(/^\.P\n/, ''));
  return option === null ? false : `.TP\n${option[1]}\n${option[2]}\n`;
}

/** A link to another page is its name, one to a file of the repository its text: neither has an address here. */
function linkInside({ href, text, punctuation = '' }) {
  if (/^[a-z]+:/.test(href)) return false;
  this.parser.renderer.jumps = false; // a blank behind the link begins no line
  return `\\fB${text.replaceAll('-', '\\-')}\\fR${punctuation}`;
}

/** `npm run schema`: writes the files that are made from the code. */
import { writeFileSync } from 'node:fs';
import { vmSettingsJsonSchema } from '../configure/vm-settings-json-schema.js';
import { openApiDocument } from './openapi.js';

const files = {
  'configure/vm-settings.schema.json': vmSettingsJsonSchema(),
  'control/openapi.json': openApiDocument(),
};
for (const [file, content] of Object.entries(files)) {
  writeFileSync(new URL(`../../src/${file}`, import.meta.url), `${JSON.stringify(content, null, 2)}\n`);
}

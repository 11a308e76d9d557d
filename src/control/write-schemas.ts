/** `npm run schema`: writes the files that are made from the code. */
import { writeFileSync } from 'node:fs';
import { vmSettingsJsonSchema } from '../configure/vm-settings-json-schema.js';
import { lightSchemasText } from './lighten.js';
import { openApiDocument } from './openapi.js';

const files = {
  'configure/vm-settings.schema.json': jsonText(vmSettingsJsonSchema()),
  'control/openapi.json': jsonText(openApiDocument()),
  'control/light-schemas.ts': lightSchemasText(),
};
for (const [file, text] of Object.entries(files)) writeFileSync(new URL(`../../src/${file}`, import.meta.url), text);

function jsonText(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

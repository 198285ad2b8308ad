// Prints the changes from one schema to another, one JSON line each: how critical it is, and what has changed.
//
// Arguments: the paths of the two schemas.

import { diff } from '@graphql-inspector/core';
import { buildSchema } from 'graphql';
import { readFileSync } from 'node:fs';

const [before, after] = process.argv.slice(2).map((path) => buildSchema(readFileSync(path, 'utf8')));
for (const { criticality, message } of await diff(before, after)) console.log(JSON.stringify({ level: criticality.level, message }));

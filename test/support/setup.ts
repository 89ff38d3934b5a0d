import 'reflect-metadata';
import { inject } from 'vitest';
import { recordStatements } from './recorded-statements.js';

const recordInto = inject('recordInto');
if (recordInto !== null) recordStatements(recordInto);

// @vitest-environment node
/** Until the contract is generated from Rust: its words are those of the Rust source. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ENTRY_KINDS, FLAGS, OUTCOMES } from '../src/lib/contract';

const root = new URL('../../../', import.meta.url);
const source = (path: string): string => readFileSync(new URL(path, root), 'utf8');

/** The words of `as_str` of a type, in order. */
function words(rust: string, type: string): string[] {
  const body = rust.split(`impl ${type} {`)[1] ?? '';
  const match = body.split('fn as_str')[1]?.split('\n    }')[0] ?? '';
  return [...match.matchAll(/=> "(\w+)"/g)].map((m) => m[1]!);
}

/** Field names of a struct. */
function fields(rust: string, name: string): string[] {
  const body = rust.split(new RegExp(`struct ${name}(?:<[^>]*>)? \\{`))[1]?.split('\n}')[0] ?? '';
  return [...body.matchAll(/^ {4}(?:pub )?(\w+):/gm)].map((m) => m[1]!);
}

/** Field names of an interface of the contract. */
function interfaceFields(name: string): string[] {
  const body = source('gate-app/ui/src/lib/contract.ts').split(`interface ${name} {`)[1]?.split('\n}')[0] ?? '';
  return [...body.matchAll(/^ {2}(\w+)\??:/gm)].map((m) => m[1]!);
}

describe('the contract says what Rust says', () => {
  it('outcomes, in order of precedence', () => {
    expect(words(source('shared/src/admission/mod.rs'), 'Outcome')).toEqual([...OUTCOMES]);
  });

  it('flags, by bit', () => {
    expect(words(source('shared/src/admission/flags.rs'), 'Flag')).toEqual([...FLAGS]);
  });

  it('kinds of entries', () => {
    const body = source('shared/src/log/entry.rs').split('pub enum EntryKind {')[1]?.split('\n}')[0] ?? '';
    const kinds = [...body.matchAll(/^ {4}([A-Z]\w+),/gm)].map((m) => m[1]!.toLowerCase());
    expect(kinds).toEqual([...ENTRY_KINDS]);
  });

  it.each([
    ['Answer', 'gate-app/core/src/answer.rs', 'Answer'],
    ['First', 'gate-app/core/src/answer.rs', 'First'],
    ['Status', 'gate-app/core/src/status.rs', 'Status'],
  ])('fields of %s', (name, path, struct) => {
    expect(interfaceFields(name)).toEqual(fields(source(path), struct));
  });

  it('fields of a line of the log, and no fewer', () => {
    const own = interfaceFields('LogLine');
    const rust = fields(source('gate-app/core/src/cli/log.rs'), 'Line');
    expect(rust.length).toBeGreaterThan(10);
    expect(own).toEqual(expect.arrayContaining(rust));
    expect(own.filter((field) => !rust.includes(field))).toEqual(['ticket_type_name', 'undone']);
  });

  it('reasons', () => {
    const body = source('shared/src/admission/explain.rs').split('pub enum Explanation {')[1]?.split('\n}')[0] ?? '';
    const rust = [...body.matchAll(/^ {4}([A-Z]\w+)(?:,| \{)/gm)].map((m) => m[1]!.replace(/(?<!^)[A-Z]/g, (c) => `_${c}`).toLowerCase());
    const union = source('gate-app/ui/src/lib/contract.ts').split('export type Reason =')[1]?.split(';\n\n')[0] ?? '';
    const own = [...union.matchAll(/\{ kind: '(\w+)'/g)].map((m) => m[1]!);
    expect(own.filter((kind) => kind !== 'repeated')).toEqual(rust);
  });
});

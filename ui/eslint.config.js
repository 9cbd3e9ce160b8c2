import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';

export default ts.config(
  { ignores: ['dist/', 'node_modules/', 'src/generated/'] },
  js.configs.recommended,
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser, ...globals.node } }, rules: { 'no-undef': 'off' } },
  { files: ['**/*.svelte', '**/*.svelte.ts'], languageOptions: { parserOptions: { parser: ts.parser } } },
  {
    // The rendered Markdown is the only HTML put in, and `markdown.ts` escapes everything in it.
    files: ['src/components/MessageText.svelte'],
    rules: { 'svelte/no-at-html-tags': 'off' },
  },
  {
    // Collections here are local to a call, or deliberately not shown.
    files: ['src/state/*.ts'],
    rules: { 'svelte/prefer-svelte-reactivity': 'off' },
  },
);

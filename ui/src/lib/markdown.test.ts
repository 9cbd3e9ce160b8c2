import { expect, it } from 'vitest';
import chat from '../test/chat.json';
import { parsed, renderMarkdown } from './markdown';

it('renders what has nothing in it to be parsed as it would be parsed', () => {
  const marks = [
    ...[
      'word',
      'two words ',
      ' word',
      '',
      'éclair, naïve; (yes) 100 % - a + b = c # d!',
      'nick: hello',
      'a:b',
      'www.a.org',
    ],
    ...[
      '*a*',
      'a *b*',
      'a _b_',
      'a ~~b~~',
      'a `b`',
      'a [b](https://c.d)',
      'a\\*b',
      'a\nb',
      'a\n\n    b',
      'a\r\nb',
      'a\0b',
    ],
    ...[
      'a <b> & "c"',
      'a &amp; b',
      '> a',
      '- a',
      '1. a',
      '# a',
      '```\na\n```',
      '    a',
      'a\u00a0',
      'a\tb\t',
      '😀 a',
      'a 😀',
    ],
    ...[
      'a https://b.c',
      'a //b.c',
      'a mailto:b@c.d',
      'a b@c.d',
      'see:https://b.c',
      'a: //b.c',
      'ftp:a',
      '[a]: https://b.c',
    ],
  ];
  for (const text of [...marks, ...chat.messages.map((it) => it.text)]) expect(renderMarkdown(text)).toBe(parsed(text));
});

import { remember } from './remember';

const LETTER = /[\p{L}\p{N}]/u;
const NAMES_MAX = 500;

/** The one or two letters that stand for a name. */
export const initials = remember(
  NAMES_MAX,
  (name) =>
    name
      .split(/[\s_\-.]+/)
      .filter((word) => LETTER.test(word))
      .slice(0, 2)
      .map((word) => [...word].find((sign) => LETTER.test(sign)) ?? '')
      .join('')
      .toLocaleUpperCase() || '·',
);

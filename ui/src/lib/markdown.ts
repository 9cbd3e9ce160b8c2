/** Message text as HTML: no raw HTML, no images, nothing remote; links leave the window. */
import MarkdownIt from 'markdown-it';
import { remember } from './remember';

const markdown = new MarkdownIt('default', { html: false, linkify: true, breaks: true, typographer: false });
// `Vec<gtk::Label>` is code without its marks, and no link in angle brackets; real ones are found without them.
markdown.disable(['image', 'heading', 'lheading', 'hr', 'table', 'autolink']);
// What the shell would not open is not shown as a link.
markdown.validateLink = (url) => /^(?:https?|mailto):/i.test(url);
// `example.py` and `rust.rs` are file names, not links: only what says so, or begins with www, is a link.
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false });

const plain = markdown.renderer.renderToken.bind(markdown.renderer);
markdown.renderer.rules.link_open = (tokens, index, options) => {
  tokens[index]?.attrSet('target', '_blank');
  tokens[index]?.attrSet('rel', 'noopener noreferrer');
  return plain(tokens, index, options);
};

/** One line that begins with a letter and has nothing in it that could be a mark, a link or HTML: most of what people say. */
const PLAIN = /^\p{L}(?!.*(?:\/\/|:\S))[^\0\r\n\\`~*_[\]<>&"]*(?<!\s)$/u;

/** Any text, by the rules of Markdown. */
export const parsed = (text: string): string => markdown.render(text);

const RENDERED_MAX = 1_000;
/** The same, sooner: a text that is known, or has nothing in it to be parsed. */
export const renderMarkdown = remember(RENDERED_MAX, (text) => (PLAIN.test(text) ? `<p>${text}</p>\n` : parsed(text)));

/** The text without its marks, for quotes, the list and screen readers. */
export function plainText(text: string): string {
  return text
    .replace(/```\w*\n?|[*_~`]{1,3}(?=\S)|(?<=\S)[*_~`]{1,3}/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}

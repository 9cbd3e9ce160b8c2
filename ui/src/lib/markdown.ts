/** Message text as HTML: no raw HTML, no images, nothing remote; links leave the window. */
import MarkdownIt from 'markdown-it';

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

// Rendering is pure, and rows come and go while scrolling.
const RENDERED_MAX = 1_000;
const rendered = new Map<string, string>();

export function renderMarkdown(text: string): string {
  const known = rendered.get(text);
  if (known !== undefined) return known;
  const html = markdown.render(text);
  if (rendered.size >= RENDERED_MAX) rendered.delete(rendered.keys().next().value ?? '');
  rendered.set(text, html);
  return html;
}

/** The text without its marks, for quotes, the list and screen readers. */
export function plainText(text: string): string {
  return text
    .replace(/```\w*\n?|[*_~`]{1,3}(?=\S)|(?<=\S)[*_~`]{1,3}/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}

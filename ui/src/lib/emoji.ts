/** The emoji to choose from: the common ones, with words to find them by. Any other can be typed. */
const COMMON = `👍 thumbs up yes good|👎 thumbs down no|❤️ heart love|😂 tears of joy laugh|🎉 party celebrate|😮 wow surprised|😢 sad cry|🙏 thanks please|👀 eyes look|🔥 fire hot|✅ check done|❌ cross no|🚀 rocket ship|💯 hundred|👏 clap|🙌 hooray hands|🤔 thinking|😅 sweat smile|😊 smile blush|😀 grin happy|😄 laugh happy|😉 wink|😍 heart eyes love|😎 cool sunglasses|🥳 party face|😴 sleep tired|😭 sob cry|😡 angry|🤯 mind blown|🥲 smile tear|🙃 upside down|😬 grimace|🤷 shrug|🤦 facepalm|💪 strong muscle|👋 wave hello bye|🤝 handshake deal|✌️ peace|🤞 fingers crossed luck|👌 ok perfect|☕ coffee|🍕 pizza|🍺 beer|🍰 cake|🍎 apple|🌱 plant seed|🌞 sun|🌧️ rain|⭐ star|✨ sparkles|💡 idea light|📚 books study|📝 note write|📌 pin|📎 clip|📅 calendar date|⏰ alarm time|⏳ hourglass wait|🐛 bug|🔧 wrench fix|🧪 test tube lab|💻 laptop|📷 camera photo|🎓 graduate exam|🏆 trophy win|⚽ football|🎵 music|🎮 game|🚲 bicycle|🚌 bus|🏠 home house|❓ question|❗ exclamation|➕ plus|🆗 ok|💤 sleep|🐱 cat|🐶 dog|🦀 crab rust|🐧 penguin linux`;

export interface Emoji {
  emoji: string;
  words: string;
}

export const EMOJI: Emoji[] = COMMON.split('|').map((entry) => {
  const space = entry.indexOf(' ');
  return { emoji: entry.slice(0, space), words: entry.slice(space + 1) };
});

export const QUICK: string[] = ['👍', '❤️', '😂', '🎉'];

export function findEmoji(query: string): Emoji[] {
  const wanted = query.trim().toLowerCase();
  return wanted === '' ? EMOJI : EMOJI.filter((emoji) => emoji.words.includes(wanted) || emoji.emoji === wanted);
}

/** Whether someone typed or pasted an emoji of their own. */
export function isEmoji(text: string): boolean {
  // One grapheme that contains a pictograph, a flag or a keycap.
  const signs = [...new Intl.Segmenter().segment(text.trim())];
  return signs.length === 1 && /\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20E3/u.test(text);
}

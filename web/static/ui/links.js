// The web addresses in a text. Pure.

/**
 * What begins like one and holds nothing that browsers or people read otherwise than it is written:
 * no spaces, quotes, angle brackets, controls or marks of direction. Beyond 2,000 characters nothing opens it.
 */
const address = /https?:\/\/[^\s"'`<>\\\p{Cc}\p{Cf}]{1,2000}/giu;
/** What ends a sentence rather than an address. */
const trailing = /[.,;:!?…。，；：！？、）】》」』”’]+$/u;

/**
 * partsOf cuts a text into words and addresses. Together the parts are the text.
 *
 * @param {string} text
 * @returns {{text: string, href?: string}[]}
 */
export function partsOf(text) {
  /** @type {{text: string, href?: string}[]} */
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(address)) {
    const link = trimmed(found);
    const href = hrefOf(link);
    if (!href) continue;
    if (index > end) parts.push({ text: text.slice(end, index) });
    parts.push({ text: link, href });
    end = index + link.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/**
 * A bracket at the end belongs to the address only where it was opened in it.
 *
 * @param {string} found
 */
function trimmed(found) {
  for (let link = found; ; ) {
    const cut = link.replace(trailing, '').replace(/[)\]]$/, (bracket) => (opens(link, bracket) ? bracket : ''));
    if (cut === link) return link;
    link = cut;
  }
}

/**
 * @param {string} link
 * @param {string} bracket
 */
const opens = (link, bracket) => link.split(bracket === ')' ? '(' : '[').length >= link.split(bracket).length;

/** @param {string} link */
function hrefOf(link) {
  try {
    const { protocol, username, href } = new URL(link);
    return /^https?:$/.test(protocol) && username === '' ? href : undefined; // "https://bank.example@evil.example" is no link
  } catch {
    return undefined;
  }
}

/**
 * The few things that every view does with the document.
 *
 * Whatever comes from the gateway goes in as text or as an attribute, never as HTML.
 */

/** Set the text of an element, unless it says so already. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute, unless it is so already; false and null remove it. */
export function mark(element, attribute, value) {
  if (value === false || value === null) element.removeAttribute(attribute);
  else if (element.getAttribute(attribute) !== String(value)) element.setAttribute(attribute, value);
}

/** Return the elements within one that say what they are: {value: the one with data-part="value", ...}. */
export function partsOf(element) {
  return Object.fromEntries([...element.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
}

/** Return a copy of the only element of a template. */
export function copyOf(templateId) {
  return document.getElementById(templateId).content.firstElementChild.cloneNode(true);
}

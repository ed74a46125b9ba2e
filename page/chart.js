/** What the pages of bench and train draw charts with: plain SVG, for the width that there is. */
'use strict';

/** @param {string} tag @param {Record<string, string | number>} attributes @param {(Node | string)[]} children */
function svg(tag, attributes, ...children) {
    const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes))
        made.setAttribute(name, String(value));
    made.append(...children);
    return made;
}

/** @param {number} x @param {number} y @param {string} words @param {string} anchor */
function text(x, y, words, anchor = 'start') { return svg('text', {x, y, 'text-anchor': anchor}, words); }

/**
 * A legend: one mark and its word after the other.
 * @param {string} place @param {[Node, string][]} entries
 */
function legend(place, entries) {
    element(place).replaceChildren(...entries.map(
        ([sign, word]) => make('span', {class: 'mark'},
                               svg('svg', {width: 18, height: 14, 'aria-hidden': 'true'}, sign), ` ${word}`)));
}

/**
 * Draws again whenever the page has another width.
 * @param {() => void} draw
 */
function drawForWidth(draw) {
    let drawnFor = 0;
    new ResizeObserver(() => {
        if (drawnFor === document.documentElement.clientWidth)
            return; // the charts changed the height alone
        drawnFor = document.documentElement.clientWidth;
        draw();
    }).observe(document.documentElement);
}

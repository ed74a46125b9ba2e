/** Films: a method at work, step by step, on copies of the arrays that stand side by side. */
'use strict';

/**
 * @typedef {{sample: number, row: number, lit: Cell[], writes: Cell[], add: number[], caption: string,
 *     told: string}} Move
 *     one step: the cells that light up, those that are written, what is added to each; told: to who does not see
 * @typedef {{boards: Record<string, number[] | null>, sums: string, steps: number,
 *     move: (step: number) => Move}} Script
 *     boards: the arrays, with the numbers that stand there at the beginning or null for none; sums: the array whose
 *     cells tell what was added to what
 */

const MOST_PRODUCTS_TOLD = 8; // in a caption, which has room for so many

/** @type {Record<string, (shown: Shown) => Script>} */
const SCRIPTS = {
    /** The window of each output pixel becomes a row of col_x, whose products make that pixel. */
    im2col({problem, values}) {
        const {outSize, K, rows, taps} = problem;
        return {
            boards: {x: values.x, col_x: null, y: null},
            sums: '',
            steps: rows,
            move: row => {
                const window = upTo(taps).map(j => ({array: 'col_x', index: row * taps + j}));
                const made = upTo(K).map(k => (Math.floor(row / outSize) * K + k) * outSize + row % outSize);
                const writes = [...window, ...made.map(index => ({array: 'y', index}))];
                return {
                    sample: Math.floor(row / outSize),
                    row,
                    lit: [...window.flatMap(c => problem.method2.col_x(c.index).terms.flat()), ...writes],
                    writes,
                    add: writes.map(c => values[c.array][c.index]),
                    caption: say('film_im2col_step', {pixel: pixelOf(problem, row), row}),
                    told: made.map(i => show(values.y[i])).join(', ')
                };
            }
        };
    },
    /** Figure 17-30: each row of dcol is added to where its window was. */
    col2img({problem, values}) {
        const {rows, taps, outSize} = problem;
        return {
            boards: {dcol: values.dcol, delta_out: values.delta_out.map(() => 0)},
            sums: 'delta_out',
            steps: rows,
            move: row => {
                const moved = upTo(taps).map(j => ({from: row * taps + j, to: problem.place(row, j)}));
                const landed = moved.filter(m => m.to >= 0), dropped = moved.length - landed.length;
                const writes = landed.map(m => ({array: 'delta_out', index: m.to}));
                return {
                    sample: Math.floor(row / outSize),
                    row,
                    lit: [...moved.map(m => ({array: 'dcol', index: m.from})), ...writes],
                    writes,
                    add: landed.map(m => values.dcol[m.from]),
                    caption: say('film_col2img_step', {pixel: pixelOf(problem, row), row}) +
                                 (dropped ? ` ${say('film_padding', {count: dropped})}` : ''),
                    told: moved.map(m => show(values.dcol[m.from])).join(', ')
                };
            }
        };
    },
    /** The turned filter slides: every cell of delta_out is a sum of products, by method 1. */
    rotated(shown) {
        const {problem, values} = shown;
        return {
            boards: {dz_padded: values.dz_padded, rot_weights: values.rot_weights, delta_out: null},
            sums: '',
            steps: values.delta_out.length,
            move: index => {
                const cell = {array: 'delta_out', index}, recipe = problem.method1.delta_out(index);
                const sum = spell(problem, recipe, MOST_PRODUCTS_TOLD, c => factor(values[c.array][c.index])).join('');
                return {
                    sample: Math.floor(index / problem.inSize / problem.C),
                    row: index,
                    lit: [...recipe.terms.flat(), cell],
                    writes: [cell],
                    add: [problem.valueOf(recipe, values)],
                    caption: `${title(problem, cell)} = ${sum} = ${show(problem.valueOf(recipe, values))}`,
                    told: ''
                };
            }
        };
    }
};

/**
 * Where a part of an axis begins that has the lit lines in its middle.
 * @param {number} size of the axis @param {number} length of the part @param {number[]} lit
 */
function begin(size, length, lit) {
    const middle = lit.length ? (Math.min(...lit) + Math.max(...lit) + 1) / 2 : 0;
    return Math.max(0, Math.min(size - length, Math.round(middle - length / 2)));
}

/** A copy of an array in a film: of one sample, or a part of it, at a time, so that its size and its place stay. */
class Board {
    /** @param {Shown} shown @param {string} array @param {number[] | null} start @param {boolean} sums */
    constructor({problem, values}, array, start, sums) {
        this.problem = problem;
        this.array = array;
        this.sums = sums; // whether each cell tells the addition
        const shape = problem.shapes[array], planes = planesOf(problem, array);
        this.planes = planes;
        this.parts = ['w', 'col_w', 'rot_weights'].includes(array) ? 1 : problem.N;
        this.size = product(shape) / this.parts;
        this.start = start;
        /** @type {(number | null)[]} */
        this.values = start ? [...start] : values[array].map(() => null);
        this.root = make('div', {class: 'planes', tabindex: '0', role: 'region', 'data-board': array});
        this.root.style.setProperty('--wide', `${this.width(values)}ch`);
        this.root.classList.toggle('sums', sums);
        this.view = '';
        /** @type {{td: HTMLElement, index: number}[]} */
        this.cells = [];
    }

    /** @param {Record<string, number[]>} values @returns {number} characters that a cell has room for */
    width(values) {
        const longest = (/** @type {number[]} */ list) => list.reduce((most, v) => Math.max(most, brief(v).length), 1);
        const own = longest(values[this.array]), small = 0.66; // the addition is in small type, and in part spaces
        return Math.max(own, this.sums ? (own + longest(values.dcol) + 3) * small : 0);
    }

    /** @param {Move | null} move draws the cells of its sample, around those that it lights, unless they stand there */
    show(move) {
        const MOST_ROWS = 9, MOST_SIDE = 6; // of a matrix; of a plane
        const {columns, count, heads, label} = this.planes, rows = this.planes.rows / (heads ? this.parts : 1);
        const sample = move && this.parts > 1 ? move.sample : 0, each = heads ? 1 : count / this.parts;
        const lit = move ? move.lit.filter(c => c.array === this.array).map(c => c.index - sample * this.size) : [];
        const high = Math.min(rows, heads ? MOST_ROWS : MOST_SIDE),
              wide = heads ? columns : Math.min(columns, MOST_SIDE);
        const down = begin(rows, high, lit.map(i => Math.floor(i / columns) % rows));
        const across = begin(columns, wide, lit.map(i => i % columns)), view = String([sample, down, across]);
        if (this.view === view)
            return;
        this.view = view;
        this.cells = [];
        const above = heads ? sample * rows : 0,
              letters = lettersOf(this.array, this.problem.conv.spatial_dims).slice(-2);
        const part = heads ? ''
                           : [[down, high, rows], [across, wide, columns]]
                                 .map(([from, length, size], axis) =>
                                          length < size ? ` ${letters[axis]}${from}–${from + length - 1}` : '')
                                 .join('');
        this.root.replaceChildren(...upTo(each).map(
            p => table(upTo(high).map(i => above + down + i), upTo(wide).map(j => across + j), (i, j) => {
                const td = make('td', {});
                this.cells.push({td, index: sample * this.size + (p * rows + i - above) * columns + j});
                return td;
            }, label(sample * each + p) + part, heads)));
    }

    /**
     * Writes the numbers of the sample, and what the last step did.
     * @param {Move | null} move @param {Map<string, number | null>} before what stood in the cells that it wrote
     * @param {number} step how many rows were moved
     */
    paint(move, before, step) {
        const added = move && new Map(move.writes.map((c, i) => [idOf(c), move.add[i]]));
        const lit = new Set(move ? move.lit.filter(c => c.array === this.array).map(c => c.index) : []);
        this.cells.forEach(({td, index}) => {
            const id = idOf({array: this.array, index}), value = this.values[index];
            const row = this.array === 'dcol' || this.array === 'col_x' ? Math.floor(index / this.problem.taps)
                                                                        : move && move.row;
            td.className = `${lit.has(index) ? 'film' : ''} row${(row || 0) % 4}`;
            td.replaceChildren(make('span', {class: 'value'}, value === null ? '' : brief(value)));
            if (!this.sums)
                return;
            const was = before.get(id), add = added && added.get(id);
            const sum = typeof was === 'number' && typeof add === 'number';
            td.append(make('small', {}, sum ? `${brief(was)} + ${add < 0 ? `(${brief(add)})` : brief(add)}` : ''),
                      this.dots(index, step));
        });
    }

    /**
     * A dot for each row that was added to a cell.
     * @param {number} index @param {number} step
     */
    dots(index, step) {
        const {taps} = this.problem, rows = this.problem.whoPlaces()[index].map(from => Math.floor(from / taps));
        return make('span', {class: 'dots'},
                    ...rows.filter(row => row < step).slice(0, 9).map(row => make('i', {class: `row${row % 4}`})));
    }
}

class Film {
    /** @param {HTMLElement} root @param {string} kind */
    constructor(root, kind) {
        this.root = root;
        this.kind = kind;
        this.step = 0;
        this.timer = 0;
        this.speed = '1';
    }

    /**
     * Draws all of it anew, at the step where it stands.
     * @param {Shown} shown
     */
    draw(shown) {
        const {kind} = this, id = `film-${kind}`, word = `film_${kind}`;
        this.script = SCRIPTS[kind](shown);
        this.boards = Object.entries(this.script.boards)
                          .map(([array, start]) => new Board(shown, array, start, array === this.script?.sums));
        /** @type {Map<string, number | null>[]} what each step overwrote in the target: steps back need no sums */
        this.history = [];
        const button = (/** @type {string} */ name, /** @type {string} */ text, /** @type {() => void} */ press) => {
            const made = make('button', {type: 'button', id: `${id}-${name}`}, text);
            made.addEventListener('click', press);
            return made;
        };
        const move = (/** @type {number} */ by) => () => {
            this.pause();
            this.go(this.step + by);
        };
        this.playButton = button('play', say('play'), () => this.timer ? this.pause() : this.play());
        this.range = /** @type {HTMLInputElement} */ (
            make('input', {type: 'range', min: '0', max: String(this.script.steps), step: '1', id: `${id}-position`}));
        const range = this.range;
        range.addEventListener('input', () => {
            this.pause();
            this.go(Number(range.value));
        });
        const speed = /** @type {HTMLSelectElement} */ (
            make('select', {id: `${id}-speed`},
                 ...['0.5', '1', '2', '4', '8'].map(times => make('option', {value: times}, `${times}×`))));
        speed.value = this.speed;
        speed.addEventListener('change', () => {
            this.speed = speed.value;
            if (this.timer)
                this.play();
        });
        this.caption = make('p', {class: 'caption', 'aria-live': 'polite', id: `${id}-caption`});
        this.root.replaceChildren(
            make('div', {class: 'panel film-panel', role: 'group', 'aria-labelledby': `${id}-title`},
                 make('h3', {id: `${id}-title`}, say(word)), make('p', {}, say(`${word}_text`)),
                 make('div', {class: 'controls'}, button('back', say('back'), move(-1)), this.playButton,
                      button('ahead', say('ahead'), move(1)), make('label', {}, `${say('position')} `, range),
                      make('label', {}, `${say('speed')} `, speed)),
                 this.caption, make('div', {class: 'screen'}, ...this.boards.map((board, i) => {
                     board.root.setAttribute('aria-label', `${say(word)}: ${nameOf(board.array)}`);
                     return make('div', {class: i === (this.boards || []).length - 1 ? 'board target' : 'board'},
                                 make('h4', {}, make('code', {class: 'name'}, nameOf(board.array)),
                                      board.start === shown.values[board.array] ? '' : ` ${say('sofar')}`),
                                 board.root);
                 }))));
        const step = Math.min(this.step, this.script.steps);
        this.step = 0;
        this.go(step);
    }

    /** @param {number} step goes there, by every step between, back or forth */
    go(step) {
        const {script, boards = [], history = []} = this;
        if (!script)
            return;
        const to = Math.max(0, Math.min(script.steps, step));
        const boardOf = (/** @type {Cell} */ cell) => boards.find(b => b.array === cell.array);
        for (; this.step < to; this.step++) {
            const move = script.move(this.step), before = new Map();
            move.writes.forEach((cell, i) => {
                const board = boardOf(cell);
                if (!board)
                    return;
                const was = board.values[cell.index];
                before.set(idOf(cell), was);
                board.values[cell.index] = was === null ? move.add[i] : was + move.add[i];
            });
            history.push(before);
        }
        for (; this.step > to; this.step--)
            for (const [id, was] of history.pop() || []) {
                const cell = cellOfId(id), board = boardOf(cell);
                if (board)
                    board.values[cell.index] = was;
            }
        this.paint();
    }

    /** Shows the step. */
    paint() {
        const {script, boards = [], history = [], step} = this;
        if (!script || !this.caption || !this.range)
            return;
        const move = step ? script.move(step - 1) : null, last = history[step - 1];
        for (const board of boards) {
            board.show(move);
            board.paint(move, last || new Map(), step);
        }
        this.range.value = String(step);
        this.caption.replaceChildren(move ? `${say('film_step', {step, count: script.steps})} ${move.caption}`
                                          : say('film_begin'),
                                     make('span', {class: 'unseen'}, move ? ` ${move.told}` : ''));
    }

    play() {
        const {script} = this;
        this.pause();
        if (!script || !this.playButton)
            return;
        if (this.step === script.steps)
            this.go(0);
        this.timer = window.setInterval(() => {
            this.go(this.step + 1);
            if (this.step === script.steps)
                this.pause();
        }, 1000 / Number(this.speed));
        this.playButton.textContent = say('pause');
    }

    pause() {
        window.clearInterval(this.timer);
        this.timer = 0;
        if (this.playButton)
            this.playButton.textContent = say('play');
    }
}

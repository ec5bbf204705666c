// Curves as SVG elements.
'use strict';

const N_STYLES = 8;

/// Round numbers of a range, about four of them; `whole`: integers only.
function ticks(low, high, whole) {
  const rough = Math.max((high - low) / 4 || 1, whole ? 1 : 0);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(by => by * power).find(by => by >= rough && (!whole || Number.isInteger(by)));
  const all = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) all.push(+at.toPrecision(12));
  return all;
}

/// Series: [{label, x, y}] of an own `style` or that of their place. One figure with axes, at most eight line styles, and a
/// legend where there are several lines, or `named`. `range`: [low, high] of both axes; else what the numbers take.
function plot(title, series, xLabel, yLabel, {range, named} = {}) {
  const width = 420, height = 270, left = 48, right = 10, top = 8, bottom = 36;
  const xs = series.flatMap(one => one.x), ys = series.flatMap(one => one.y).filter(Number.isFinite);
  const low = range ? [range[0], range[0]] : [Math.min(...xs), Math.min(0, ...ys)];
  const high = range ? [range[1], range[1]] : [Math.max(...xs), Math.max(...ys)];
  if (high[0] === low[0]) high[0] = low[0] + 1;
  if (high[1] === low[1]) high[1] = low[1] + 1;
  const px = x => left + (x - low[0]) / (high[0] - low[0]) * (width - left - right);
  const py = y => height - bottom - (y - low[1]) / (high[1] - low[1]) * (height - top - bottom);
  const picture = svg('svg', {viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': title});
  for (const at of ticks(low[0], high[0], xs.every(Number.isInteger))) picture.append(svg('text', {x: px(at), y: height - bottom + 14, 'text-anchor': 'middle'}, short(at)));
  for (const at of ticks(low[1], high[1])) {
    picture.append(svg('line', {class: 'grid', x1: left, x2: width - right, y1: py(at), y2: py(at)}),
      svg('text', {x: left - 6, y: py(at) + 4, 'text-anchor': 'end'}, short(at)));
  }
  picture.append(svg('rect', {class: 'frame', x: left, y: top, width: width - left - right, height: height - top - bottom}),
    svg('text', {x: (left + width - right) / 2, y: height - 4, 'text-anchor': 'middle'}, xLabel),
    svg('text', {x: 12, y: (top + height - bottom) / 2, 'text-anchor': 'middle', transform: `rotate(-90 12 ${(top + height - bottom) / 2})`}, yLabel));
  const style = (one, index) => `line s${(one.style ?? index) % N_STYLES}`;
  series.forEach((one, index) => {
    const points = one.x.map((x, at) => [x, one.y[at]]).filter(([, y]) => Number.isFinite(y)).map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`);
    picture.append(svg('polyline', {class: style(one, index), points: points.join(' ')}));
  });
  const legend = series.length < 2 && !named ? null : h('ul', {class: 'legend'}, series.map((one, index) => h('li', {},
    svg('svg', {viewBox: '0 0 26 10', 'aria-hidden': 'true'}, svg('line', {class: style(one, index), x1: 0, y1: 5, x2: 26, y2: 5})), one.label)));
  return h('figure', {}, h('figcaption', {}, title), picture, legend);
}

function panels({curves}) {
  const groups = new Map(), styles = new Map();  // a defense looks the same in every panel
  for (const curve of curves) {
    const attack = curve.protocol === 'none' || curve.protocol === 'static' ? curve.attack : `${curve.attack} (${curve.protocol})`;
    const title = `${curve.dataset} ${curve.model} ${curve.bits} bits, ${attack === 'none' ? 'no attack' : attack}, ${curve.direction === 'i2t' ? 'I → T' : 'T → I'}`;
    const variant = curve.variant.slice(curve.variant.indexOf('/') + 1);  // as in tables, without its ablation's name
    const name = [curve.defense === 'none' ? 'no defense' : curve.defense, variant].filter(Boolean).join(' ');
    if (!styles.has(name)) styles.set(name, styles.size);
    if (!groups.has(title)) groups.set(title, new Map());
    const group = groups.get(title);  // the first seed stands for the others: the plot verb has their spread
    if (!group.has(name)) group.set(name, {...curve, label: name, style: styles.get(name)});
  }
  return [...groups].map(([title, group]) => plot(title, [...group.values()], 'recall', 'precision', {range: [0, 1], named: true}));
}

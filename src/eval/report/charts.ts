/**
 * Charts as SVG text, drawn by Apache ECharts, which needs neither a browser nor a DOM for it. Colours are the page's own variables,
 * so that one drawing serves light and dark. All charts are as wide as a phone; the page puts them side by side where there is room.
 */
import type {EChartsOption} from 'echarts';
import {visible} from '../../core/printable.js';
import {escapeHtml, Html} from './html.js';

const WIDTH = 420;
const INK = 'var(--ink)';
const SOFT = 'var(--soft)';
const FONT = 'system-ui, sans-serif';
/** Repeats after six models, which no table would show either. */
export const colours = ['var(--c1)', 'var(--c2)', 'var(--c3)', 'var(--c4)', 'var(--c5)', 'var(--c6)'] as const;
export const colourOf = (i: number): string => colours[i % colours.length]!;

const text = {color: INK, fontFamily: FONT, fontSize: 13};
const quietAxis = {
  axisLine: {lineStyle: {color: SOFT}},
  axisTick: {lineStyle: {color: SOFT}},
  axisLabel: text,
  nameTextStyle: text,
};
const grid = {splitLine: {lineStyle: {color: 'var(--line)'}}};

async function draw(label: string, height: number, option: EChartsOption): Promise<Html> {
  const module = await import('echarts');
  const echarts = (module as {default?: typeof module}).default ?? module;
  const chart = echarts.init(null, null, {renderer: 'svg', ssr: true, width: WIDTH, height});
  try {
    chart.setOption({animation: false, textStyle: {fontFamily: FONT}, ...option});
    return new Html(inline(chart.renderToSVGString(), label));
  } finally {
    chart.dispose();
  }
}

/** As wide as its place; what serves a mouse alone is dropped. */
const inline = (svg: string, label: string): string =>
  svg
    .replace(/<style[\s\S]*?<\/style>/g, '')
    .replace(/ (?:ecmeta_\w+|class|pointer-events)="[^"]*"/g, '')
    .replace(/^<svg width="\d+" height="\d+"/, `<svg role="img" aria-label="${escapeHtml(label)}"`);

/** Names come from files; the library escapes what it writes. */
const shorten = (text: string, length = 46): string => {
  const name = visible(text);
  return name.length <= length ? name : `${name.slice(0, length / 2 - 1)}…${name.slice(-length / 2)}`;
};

export interface Bar {
  name: string;
  value: number;
  /** What is written at its end. */
  label: string;
  colour: string;
  /** Edges of an interval around the value. */
  interval?: readonly [low: number, high: number];
}

/** Names stand above their bars: they are long. */
export function barChart(label: string, bars: readonly Bar[], max?: number): Promise<Html> {
  const names = bars.map(({name}) => visible(name));
  const top = max ?? Math.max(...bars.map(({value}) => value)) * 1.25;
  const whisker = (i: number, x: readonly [number, number]) => ({coords: x.map((value) => [value, i])});
  return draw(label, 14 + bars.length * 46, {
    grid: {left: 4, right: 10, top: 14, bottom: 0},
    xAxis: {type: 'value', min: 0, max: top, show: false},
    yAxis: {type: 'category', data: names, inverse: true, show: false},
    series: [
      {
        type: 'bar',
        barWidth: 16,
        data: bars.map(({value, colour}) => ({value, itemStyle: {color: colour}})),
        showBackground: max !== undefined,
        backgroundStyle: {color: 'var(--line)'},
        label: {show: true, position: [0, -16], ...text, formatter: ({dataIndex}) => caption(bars[dataIndex]!)},
      },
      {
        type: 'lines',
        coordinateSystem: 'cartesian2d',
        data: bars.flatMap(({interval}, i) => (interval ? [whisker(i, interval)] : [])),
        lineStyle: {color: INK, width: 3, opacity: 1},
        silent: true,
        z: 5,
      },
    ],
  });
}
const caption = ({name, label}: Bar): string => `${shorten(name)}   ${label}`;

export interface ChartColumn {
  label: string;
  value: number;
}
export function columnChart(label: string, columns: readonly ChartColumn[], colour: string, axis: string): Promise<Html> {
  return draw(label, 230, {
    grid: {left: 6, right: 12, top: 14, bottom: 26, containLabel: true},
    xAxis: {
      type: 'category',
      data: columns.map((c) => visible(c.label)),
      name: axis,
      nameLocation: 'middle',
      nameGap: 28,
      ...quietAxis,
    },
    yAxis: {type: 'value', ...quietAxis, ...grid},
    series: [{type: 'bar', barCategoryGap: '8%', itemStyle: {color: colour}, data: columns.map((c) => c.value)}],
  });
}

/** Three digits: the ends of an axis are data. */
const roundLabel = (value: number): string => String(Number(value.toPrecision(3)));

export interface Line {
  name: string;
  colour: string;
  points: readonly (readonly [x: number, y: number])[];
}
/** `curve`: values that follow each other, on an axis that need not begin at 0; otherwise counts of bins, as steps. */
export function lineChart(
  label: string,
  lines: readonly Line[],
  axes: {x: string; log?: boolean; curve?: boolean},
): Promise<Html> {
  return draw(label, 230 + 18 * lines.length, {
    grid: {left: 6, right: 16, top: 10 + 18 * lines.length, bottom: 26, containLabel: true},
    legend: {
      orient: 'vertical',
      left: 0,
      top: 0,
      itemGap: 6,
      itemHeight: 10,
      textStyle: text,
      icon: 'roundRect',
      formatter: (name) => shorten(name),
    },
    xAxis: {
      type: axes.log ? 'log' : 'value',
      name: axes.x,
      nameLocation: 'middle',
      nameGap: 28,
      min: 'dataMin',
      max: 'dataMax',
      ...quietAxis,
      axisLabel: {...text, hideOverlap: true, formatter: roundLabel},
      ...grid,
    },
    yAxis: {type: 'value', scale: axes.curve === true, ...quietAxis, ...grid},
    series: lines.map(({name, colour, points}) => ({
      type: 'line',
      name: visible(name),
      showSymbol: points.length < 3,
      step: axes.curve ? false : 'middle',
      lineStyle: {color: colour, width: 2},
      itemStyle: {color: colour},
      data: points.map(([x, y]) => [x, y]),
    })),
  });
}

// The tree of a trace as arrays: depths, ends of branches, runs of siblings that repeat, and which rows are to be seen.
// A row is a place in the skeleton, or for a run of siblings the number -1 - its place among the runs.
const FEW = 10;

export class Tree {
  constructor(bones) {
    const size = bones.ids.length;
    this.bones = bones;
    this.size = size;
    this.depth = new Uint16Array(size);
    this.end = new Int32Array(size);
    this.folded = new Uint8Array(size);
    for (let i = 0; i < size; i += 1) {
      this.depth[i] = bones.parent[i] < 0 ? 0 : Math.min(this.depth[bones.parent[i]] + 1, 65000);
      this.end[i] = i + 1;
    }
    for (let i = size - 1; i >= 0; i -= 1) {
      const up = bones.parent[i];
      if (up >= 0 && this.end[up] < this.end[i]) this.end[up] = this.end[i];
    }
    this.runs = [];
    this.runAt = new Map();
    this.findRuns();
    this.critical = new Uint8Array(size);
    for (const place of bones.critical) this.critical[place] = 1;
  }

  // Siblings one after the other with the same name and kind: four hundred calls of one tool are one row.
  findRuns() {
    const { name, kind, all_errors: errors, start, duration } = this.bones;
    const along = (first, stop) => {
      let begin = first;
      let count = 0;
      const close = (last) => {
        if (count < FEW) return;
        const run = { first: begin, last, count, errors: 0, start: Infinity, stop: 0, open: false };
        for (let i = begin; i < last; i = this.end[i]) {
          run.errors += errors[i];
          run.start = Math.min(run.start, start[i]);
          run.stop = Math.max(run.stop, start[i] + duration[i]);
        }
        this.runAt.set(begin, this.runs.length);
        this.runs.push(run);
      };
      for (let i = first; i < stop; i = this.end[i]) {
        if (i !== first && name[i] === name[begin] && kind[i] === kind[begin]) {
          count += 1;
          continue;
        }
        if (i !== first) close(i);
        begin = i;
        count = 1;
      }
      if (count) close(stop);
    };
    along(0, this.size);
    for (let i = 0; i < this.size; i += 1) if (this.end[i] > i + 1) along(i + 1, this.end[i]);
  }

  leaf(place) {
    return this.end[place] === place + 1;
  }

  // Unfolds whatever hides a place.
  reveal(place) {
    for (let up = this.bones.parent[place]; up >= 0; up = this.bones.parent[up]) this.folded[up] = 0;
    for (const run of this.runs) if (run.first <= place && place < run.last) run.open = true;
  }

  foldAll(on) {
    for (let i = 0; i < this.size; i += 1) this.folded[i] = on && !this.leaf(i) && this.bones.parent[i] >= 0 ? 1 : 0;
    for (const run of this.runs) run.open = false;
  }

  // Returns the rows in order with their depths; `fits` lets only some places through, and what leads to them.
  rows(fits) {
    let keep = null;
    if (fits) {
      keep = new Uint8Array(this.size);
      for (let i = this.size - 1; i >= 0; i -= 1) {
        if (fits[i]) keep[i] = 1;
        if (keep[i] && this.bones.parent[i] >= 0) keep[this.bones.parent[i]] = 1;
      }
    }
    const rows = [];
    const depths = [];
    const open = [];
    for (let i = 0; i < this.size; ) {
      while (open.length && open[open.length - 1] <= i) open.pop();
      if (keep && !keep[i]) {
        i = this.end[i];
        continue;
      }
      const number = keep ? undefined : this.runAt.get(i);
      if (number !== undefined) {
        const run = this.runs[number];
        rows.push(-1 - number);
        depths.push(this.depth[i] + open.length);
        if (!run.open) {
          i = run.last;
          continue;
        }
        open.push(run.last);
      }
      rows.push(i);
      depths.push(this.depth[i] + open.length);
      i = this.folded[i] && !keep ? this.end[i] : i + 1;
    }
    return { rows, depths };
  }
}

const WIDEST = 32768;

/** Workgroups of a kernel that numbers its work `y * grid.x + x`: a dimension holds at most 65,535. */
export function grid(work: number): readonly [number, number] {
  return work <= WIDEST ? [work, 1] : [WIDEST, Math.ceil(work / WIDEST)];
}

/** Pages in the layers' pool and in the head pool. */
export interface PageCounts {
  readonly layerPages: number;
  readonly headPages: number;
}

const together =
  (by: (a: number, b: number) => number) => (counts: Iterable<PageCounts>): PageCounts => {
    let [layerPages, headPages] = [0, 0];
    for (const count of counts) {
      layerPages = by(layerPages, count.layerPages);
      headPages = by(headPages, count.headPages);
    }
    return { layerPages, headPages };
  };

/** All of them, pool by pool. */
export const sumOf = together((a, b) => a + b);

/** The largest of them, pool by pool. */
export const largestOf = together(Math.max);

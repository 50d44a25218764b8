/** ||seen - right|| / ||right||. */
export function errorOver(pairs: Iterable<readonly [seen: number, right: number]>): number {
  let [error, norm] = [0, 0];
  for (const [seen, right] of pairs) {
    error += (seen - right) ** 2;
    norm += right ** 2;
  }
  return Math.sqrt(error / norm);
}

/** What the sweep varies: how many neighbours vote, and how much each kind of measure counts in the distance between two flowers. */
export interface Hyperparameters {
  /** Neighbours that vote on a flower's species; an integer from 1. */
  readonly neighbours: number;
  /** Weight of petals against sepals, 1 being equal. */
  readonly petals: number;
  /** Weight of widths against lengths, 1 being equal. */
  readonly widths: number;
}

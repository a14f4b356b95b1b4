import { MarqueError } from './error.ts';

/** A snapshot was asked after its end. A storage that has closed it says so instead: nobody else knows of snapshots. */
export class SnapshotReleased extends MarqueError {
  constructor() {
    super('STORE_CLOSED', 'this snapshot of the store has been released: take a new one');
  }
}

import { describeStore } from './store-conformance.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';

describeStore('MemoryStore', () => new MemoryStore(), { durable: false });

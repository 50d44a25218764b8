import type { MemoryUsage, Residency } from "../memory_manager/protocol.ts";

/** What is known of memory before the first plan: nothing. */
export const UNKNOWN_MEMORY: { readonly usage: MemoryUsage; readonly residency: Residency } = {
  usage: {
    pages: 0,
    freePages: 0,
    kvPages: 0,
    cachedPages: 0,
    adapterPages: 0,
    residentAdapters: [],
    arrivingAdapters: 0,
  },
  residency: {
    hostAdapters: 0,
    hostBytes: 0,
    arrivingPages: 0,
    diskLoads: 0,
    failedLoads: 0,
    hostEvictions: 0,
    gpuEvictions: 0,
    gpuHits: 0,
    gpuMisses: 0,
    prefetches: 0,
    uploads: 0,
    uploadBytes: 0,
    uploadSeconds: 0,
  },
};

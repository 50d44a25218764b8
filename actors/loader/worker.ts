/// <reference lib="deno.worker" />
import { openPort, type Port } from "../port_channel.ts";
import type { Command, Event } from "./protocol.ts";

// Reading, checking and packing adapters takes a thread of its own, so that no stream waits for a file.
const { sender, receiver } = openPort<Event, Command>(self as unknown as Port, { capacity: 64 });

/*
 * flow - get-flow-session-information: the sessions of all services cards.
 *
 * No daemon owns the data path as a whole, so mgd asks the cards itself, page
 * by page and one card after the other, and puts one block per SPU together.
 * Main thread only.
 */
#ifndef MGD_FLOW_H
#define MGD_FLOW_H

#include "firmware/bus/bus.h"
#include "re/mgd/rpc.h"

#define FLOW_SESSIONS_MAX 100000 /* shown by one command; more is an error that says so */

struct flow;

/* Adds the RPC. */
struct flow *flow_new(struct bus_conn *bus, struct rpc *rpc);
void flow_free(struct flow *flow);
/* Card and interface states from the bus. */
void flow_message(struct flow *flow, const struct bus_header *header, const void *msg);

#endif

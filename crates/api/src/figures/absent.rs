//! Statistics of what there is nothing of here: all 0.

/// Keys, as patterns: `{a,b}` is either. Why each is 0 says the table of `docs/compatibility.md`.
pub(super) const KEYS: &[&str] = &[
    // Protocol buffers.
    "pbc_active",
    "pbc_connects{,_total}",
    // Strong consistency, and objects that are written once.
    "consistent_{gets,puts}{,_total}",
    "consistent_{get,put}_{time,objsize}_{mean,median,95,99,100}",
    "write_once_puts{,_total}",
    "write_once_put_{time,objsize}_{mean,median,95,99,100}",
    "write_once_merge",
    // Searches.
    "search_{index,query}_{fail,throughput}_{one,count}",
    "search_{index,query}_latency_{min,max,mean,median,95,99,999}",
    "search_index_{bad_entry,extract_fail}_{one,count}",
    "riak_search_vnodeq_{min,max,mean,median,total,95,99,100}",
    "riak_search_vnodes_running",
    // Requests that are not made here.
    "vnode_index_refreshes{,_total}",
    "vnode_heads{,_total}",
    "vnode_head_fsm_time_{mean,median,95,99,100}",
    "read_repairs_fallback_{notfound,outofdate}_{one,count}",
    "late_put_fsm_coordinator_ack",
    "leveldb_read_block_error",
    // Coordinators chosen by the lengths of their queues.
    "coord_local_{unloaded,soft_loaded}_total",
    "coord_redir_{unloaded,least_loaded,loaded_local}_total",
    "soft_loaded_vnode_mbox_total",
    "vnode_mbox_check_timeout_total",
    // A ring that is gossiped, and hand-off that is given up.
    "gossip_received",
    "ignored_gossip_total",
    "rings_reconciled{,_total}",
    "{converge,rebalance}_delay_{last,min,max,mean,total}",
    "rejected_handoffs",
    "handoff_timeouts",
    // Trees that replicas compare, within a cluster and with others.
    "tictacaae_{root_compare,branch_compare,clock_compare,exchange,bucket,modtime}{,_total}",
    "tictacaae_{error,timeout,not_supported}{,_total}",
    "tictacaae_queue_microsec_{mean,_max}",
    "ttaaefs_{all,day,hour,range}check_total",
    "ttaaefs_{sync,nosync,fail,src_ahead,snk_ahead}_total",
    "ttaaefs_{sync,nosync,fail}_time_100",
    "ngrfetch_{nofetch,prefetch,tofetch}{,_total}",
    "ngrrepl_{empty,object,error,srcdiscard}{,_total}",
    // Pools of workers that a Riak of those has.
    "worker_{af1,af2,af3,af4,be,node_worker,vnode}_pool_total",
    "worker_{af1,af2,af3,af4,be,node_worker,vnode}_pool_{queuetime,worktime}_{mean,100}",
    "worker_unregistered_total",
    "worker_unregistered_{queuetime,worktime}_{mean,100}",
    // Parts of an Erlang machine.
    "memory_{atom,atom_used,ets}",
    "sys_monitor_count",
];

#!/usr/bin/env drgn
"""Network interfaces of each namespace: names, flags, addresses, queues, and listening sockets."""

from drgn import container_of
from drgn.helpers.linux.list import hlist_for_each_entry
from drgn.helpers.linux.net import for_each_net, for_each_netdev, netdev_for_each_tx_queue

for net in for_each_net(prog):
    print("namespace", net.ns.inum.value_(), net.type_.type_name())
    for dev in for_each_netdev(net):
        address = ":".join(f"{byte:02x}" for byte in dev.dev_addr[0:6].to_bytes_())
        queues = [queue.trans_start.value_() for queue in netdev_for_each_tx_queue(dev)]
        print(
            dev.ifindex.value_(),
            dev.name.string_().decode(),
            hex(dev.flags),
            address,
            dev.mtu.value_(),
            len(queues),
            dev.netdev_ops,
        )
        in_device = dev.ip_ptr
        if not in_device:
            continue
        entry = in_device.ifa_list
        while entry:
            value = entry.ifa_address.value_().to_bytes(4, "little")
            print("  ", ".".join(map(str, value)), entry.ifa_prefixlen.value_(), entry.ifa_label)
            entry = entry.ifa_next

table = prog["tcp_hashinfo"]
print(table.ehash_mask, table.bhash_size)
for index in range(int(table.bhash_size)):
    for bucket in hlist_for_each_entry(
        "struct inet_bind_bucket", table.bhash[index].chain.address_of_(), "node"
    ):
        print(
            "port",
            bucket.port.value_(),
            container_of(bucket.node.address_of_(), bucket.type_.type, "node") == bucket,
        )

# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""scripts/nic on a machine made of files: two NUMA nodes, an E810 on each side of them, an 82599."""
import os
import pathlib
import subprocess
import tempfile
import unittest

NIC = pathlib.Path(__file__).resolve().parents[3] / "scripts/nic"
OUTSIDE, INSIDE, FAR = "0000:3b:00.0", "0000:3b:00.1", "0000:d8:00.0"


class Nic(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for address, driver, ids, node in ((OUTSIDE, "ice", ("8086", "1592"), 0),
                                           (INSIDE, "ice", ("8086", "1592"), 0),
                                           (FAR, "ixgbe", ("8086", "10fb"), 1)):
            self.device(address, driver, ids, node)
        for node, cores in ((0, "0-3"), (1, "4-7")):
            self.file(f"sys/devices/system/node/node{node}/cpulist", cores)
        self.file("sys/devices/system/cpu/online", "0-7")
        self.file("sys/devices/system/cpu/isolated", "2-3")
        self.file("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512")
        self.file("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512")
        tools = self.root / "tools"
        tools.mkdir()
        (tools / "dpdk-devbind.py").write_text(f"#!/bin/sh\necho \"$@\" >> {self.root}/bound\n")
        (tools / "dpdk-devbind.py").chmod(0o755)

    def tearDown(self):
        self.folder.cleanup()

    def file(self, path, text):
        whole = self.root / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_text(text + "\n")

    def device(self, address, driver, ids, node):
        base = f"sys/bus/pci/devices/{address}"
        for name, text in (("class", "0x020000"), ("vendor", "0x" + ids[0]),
                           ("device", "0x" + ids[1]), ("numa_node", str(node))):
            self.file(f"{base}/{name}", text)
        os.symlink(f"../../../../bus/pci/drivers/{driver}", self.root / base / "driver")
        os.symlink(f"../../../kernel/iommu_groups/{node}{address[-1]}",
                   self.root / base / "iommu_group")
        self.file(f"sys/kernel/iommu_groups/{node}{address[-1]}/name", "x")

    def run_nic(self, *words, status=0):
        environment = {**os.environ, "SLUICE_NIC_ROOT": str(self.root),
                       "PATH": f"{self.root}/tools:{os.environ['PATH']}"}
        done = subprocess.run(["/usr/bin/python3", str(NIC), *words], env=environment, text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_lists_devices_with_driver_node_group_and_traps(self):
        said = self.run_nic("list")
        for words in (OUTSIDE, FAR, "8086:1592", "ice", "ixgbe", "note (ice)", "52 bytes",
                      "note (ixgbe)", "unevenly"):
            self.assertIn(words, said)

    def test_config_takes_isolated_cores_of_the_ports_node(self):
        said = self.run_nic("config", OUTSIDE, INSIDE)
        self.assertIn("workers: { cores: [2, 3], main_core: 0, idle: spin }", said)
        self.assertIn(f'outside: {{ device: "{OUTSIDE}" }}', said)
        self.assertIn(f'inside:  {{ device: "{INSIDE}" }}', said)
        self.assertIn(f"nic bind {INSIDE}", said)

    def test_config_warns_of_ports_on_two_nodes_and_refuses_one_port_twice(self):
        self.assertIn("NUMA nodes 0 and 1", self.run_nic("config", OUTSIDE, FAR))
        self.run_nic("config", OUTSIDE, OUTSIDE, status=2)

    def test_check_names_workers_across_numa_nodes(self):
        self.file("sluice.yaml", "workers: { cores: [2, 5] }\nmemory: { pool_mb: 256 }\nlinks:\n"
                  f"  - outside: {{ device: \"{OUTSIDE}\" }}\n    inside: {{ device: \"{INSIDE}\" }}")
        said = self.run_nic("check", "--config", f"{self.root}/sluice.yaml", status=1)
        self.assertIn("workers [5] are on another node", said)
        self.assertIn(f"nic bind {OUTSIDE}", said)
        self.assertIn("[ok] huge pages", said)

        self.assertIn("[!!] workers on NUMA node 0, 1", said)

    def test_traps_of_a_card_are_named_also_while_it_is_bound_for_dpdk(self):
        for device in (OUTSIDE, FAR):
            link = self.root / f"sys/bus/pci/devices/{device}/driver"
            link.unlink()
            os.symlink("../../../../bus/pci/drivers/vfio-pci", link)
        said = self.run_nic("list")
        self.assertIn("52 bytes", said)
        self.assertIn("unevenly", said)

    def test_check_names_workers_that_ixgbe_loads_unevenly(self):
        def check(cores):
            self.file("sluice.yaml", f"workers: {{ cores: {cores} }}\nlinks:\n"
                      f"  - outside: {{ device: \"{FAR}\" }}\n    inside: {{ device: \"{FAR}\" }}")
            return self.run_nic("check", "--config", f"{self.root}/sluice.yaml", status=1)
        self.assertIn("with 3 some get more", check([4, 5, 6]))
        self.assertIn("[ok] 0000:d8:00.0: 2 workers share", check([4, 5]))

    def test_binds_with_dpdk_devbind(self):
        self.run_nic("bind", OUTSIDE, INSIDE[5:])
        self.assertEqual((self.root / "bound").read_text(),
                         f"--bind=vfio-pci {OUTSIDE} {INSIDE}\n")
        self.run_nic("bind", "0000:00:1f.9", status=2)


if __name__ == "__main__":
    unittest.main()

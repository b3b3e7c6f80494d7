"""The judgement itself, on policies small enough to be judged by eye."""

import unittest

from network_policy import Judge, Outside, Pod

NAMESPACES = {"shop": {"team": "shop"}, "watch": {"team": "watch"}}
FRONT = Pod("shop", {"app": "front"}, {"http": 8080})
BACK = Pod("shop", {"app": "back"}, {"http": 9090})
WATCHER = Pod("watch", {"app": "prometheus"})


def policy(selector: dict, **spec: object) -> dict:
    return {"metadata": {"namespace": "shop"}, "spec": {"podSelector": selector, **spec}}


DENY_ALL = policy({}, policyTypes=["Ingress", "Egress"])
BACK_FROM_FRONT = policy(
    {"matchLabels": {"app": "back"}},
    policyTypes=["Ingress"],
    ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "front"}}}], "ports": [{"port": "http"}]}],
)
FRONT_TO_BACK = policy(
    {"matchLabels": {"app": "front"}},
    policyTypes=["Egress"],
    egress=[{"to": [{"podSelector": {"matchLabels": {"app": "back"}}}], "ports": [{"port": 9000, "endPort": 9099}]}],
)


class NetworkPolicies(unittest.TestCase):
    def test_without_a_policy_everything_passes(self) -> None:
        self.assertTrue(Judge([], NAMESPACES).allows(FRONT, BACK, 1))

    def test_a_selected_pod_without_rules_neither_calls_nor_is_called(self) -> None:
        judge = Judge([DENY_ALL], NAMESPACES)
        self.assertFalse(judge.allows(FRONT, BACK, 9090))
        self.assertFalse(judge.allows(WATCHER, BACK, 9090))

    def test_both_ends_must_agree(self) -> None:
        self.assertFalse(Judge([DENY_ALL, BACK_FROM_FRONT], NAMESPACES).allows(FRONT, BACK, 9090))
        self.assertFalse(Judge([DENY_ALL, FRONT_TO_BACK], NAMESPACES).allows(FRONT, BACK, 9090))
        self.assertTrue(Judge([DENY_ALL, FRONT_TO_BACK, BACK_FROM_FRONT], NAMESPACES).allows(FRONT, BACK, 9090))

    def test_a_named_port_is_the_callees_and_a_range_has_two_ends(self) -> None:
        judge = Judge([DENY_ALL, FRONT_TO_BACK, BACK_FROM_FRONT], NAMESPACES)
        self.assertFalse(judge.allows(FRONT, BACK, 9091))
        self.assertFalse(judge.allows(FRONT, BACK, 9100))
        self.assertFalse(judge.allows(FRONT, BACK, 9090, "UDP"))

    def test_a_pod_selector_alone_means_the_policys_own_namespace(self) -> None:
        stranger = Pod("watch", {"app": "front"})
        self.assertFalse(Judge([BACK_FROM_FRONT], NAMESPACES).allows(stranger, BACK, 9090))

    def test_a_namespace_is_chosen_by_its_labels(self) -> None:
        rule = {"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["watch"]}]}}]}
        judge = Judge([policy({}, policyTypes=["Ingress"], ingress=[rule])], NAMESPACES)
        self.assertTrue(judge.allows(WATCHER, BACK, 1))
        self.assertFalse(judge.allows(FRONT, BACK, 1))

    def test_an_address_block_has_holes(self) -> None:
        rule = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}
        judge = Judge([policy({}, policyTypes=["Egress"], egress=[rule])], NAMESPACES)
        self.assertTrue(judge.allows(BACK, Outside("10.2.0.1"), 443))
        self.assertFalse(judge.allows(BACK, Outside("10.1.0.1"), 443))
        self.assertFalse(judge.allows(BACK, Outside("192.0.2.1"), 443))

    def test_without_types_an_egress_section_makes_it_an_egress_policy(self) -> None:
        judge = Judge([policy({}, egress=[])], NAMESPACES)
        self.assertFalse(judge.allows(BACK, Outside("192.0.2.1"), 443))
        self.assertTrue(Judge([policy({})], NAMESPACES).allows(BACK, Outside("192.0.2.1"), 443))


if __name__ == "__main__":
    unittest.main()

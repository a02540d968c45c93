// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/oracle/reference.h"

#include <modsecurity/modsecurity.h>
#include <modsecurity/rule_message.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

#include <cstdlib>
#include <iostream>

#include "dataplane/base/arena.h"
#include "dataplane/http/request_parser.h"

namespace sluice::oracle {

struct Reference::State {
  modsecurity::ModSecurity library;
  modsecurity::RulesSet rules;
  std::vector<std::uint8_t> memory = std::vector<std::uint8_t>(256 * 1024);
};

namespace {

void on_log(void* verdict, const void* message) {
  const auto* rule = static_cast<const modsecurity::RuleMessage*>(message);
  static_cast<ReferenceVerdict*>(verdict)->ids.push_back(
      static_cast<std::uint32_t>(rule->m_ruleId));
}

/// Takes an intervention, if there is one. A disruptive rule's entry is in its text, not in the
/// log.
void take_intervention(modsecurity::Transaction& transaction, ReferenceVerdict& verdict) {
  modsecurity::ModSecurityIntervention intervention{};
  modsecurity::intervention::reset(&intervention);
  if (!transaction.intervention(&intervention)) return;
  verdict.status = intervention.status;
  const std::string log = intervention.log == nullptr ? "" : intervention.log;
  const std::size_t at = log.find("[id \"");
  if (at != std::string::npos) {
    verdict.ids.push_back(
        static_cast<std::uint32_t>(std::strtoul(log.c_str() + at + 5, nullptr, 10)));
  }
  modsecurity::intervention::free(&intervention);
}

}  // namespace

Reference::Reference() : state_(new State) {
  state_->library.setConnectorInformation("sluice oracle");
  state_->library.setServerLogCb(
      on_log, modsecurity::RuleMessageLogProperty | modsecurity::IncludeFullHighlightLogProperty);
}
Reference::~Reference() = default;

std::unique_ptr<Reference> Reference::load(const std::vector<std::string>& files) {
  std::unique_ptr<Reference> reference(new Reference);
  for (const std::string& file : files) {
    if (reference->state_->rules.loadFromUri(file.c_str()) < 0) {
      std::cerr << file << ": " << reference->state_->rules.getParserError() << "\n";
      return nullptr;
    }
  }
  return reference;
}

std::unique_ptr<Reference> Reference::load_text(const std::string& text) {
  std::unique_ptr<Reference> reference(new Reference);
  if (reference->state_->rules.load(text.c_str()) < 0) {
    std::cerr << reference->state_->rules.getParserError() << "\n";
    return nullptr;
  }
  return reference;
}

ReferenceVerdict Reference::run(std::string_view request,
                                const std::vector<std::string>& tx_names) {
  ReferenceVerdict verdict;
  base::Arena arena(state_->memory);
  http::RequestParser parser;
  parser.begin(arena, {});
  modsecurity::Transaction transaction(&state_->library, &state_->rules, &verdict);
  transaction.processConnection("192.0.2.1", 40000, "192.0.2.80", 80);
  base::Bytes rest = base::as_bytes(request);
  bool has_head = false, done = false;
  while (!done) {
    const http::Step step = parser.feed(rest);
    rest = rest.subspan(step.consumed);
    switch (step.event) {
      case http::Event::kHeadComplete: {
        has_head = true;
        const http::RequestHead& head = parser.head();
        const std::string version(head.protocol.size() > 5 ? head.protocol.substr(5)
                                                           : std::string_view());
        transaction.processURI(std::string(head.target).c_str(), std::string(head.method).c_str(),
                               version.c_str());
        for (const http::Field& field : head.fields) {
          transaction.addRequestHeader(std::string(field.name), std::string(field.value));
        }
        transaction.processRequestHeaders();
        take_intervention(transaction, verdict);
        break;
      }
      case http::Event::kBodyData:
        transaction.appendRequestBody(step.body.data(), step.body.size());
        break;
      case http::Event::kMessageComplete:
      case http::Event::kUpgraded:
        done = true;
        break;
      case http::Event::kNeedMore:
      case http::Event::kUnparsed:
        done = rest.empty();
        break;
      case http::Event::kRefused:
        parser.continue_leniently();
        break;
    }
  }
  verdict.refused = !has_head;
  if (!has_head) return verdict;
  transaction.processRequestBody();
  take_intervention(transaction, verdict);
  for (const std::string& name : tx_names) {
    const auto value = transaction.m_collections.m_tx_collection->resolveFirst(name);
    verdict.tx.push_back(value == nullptr ? std::string() : *value);
  }
  transaction.processLogging();
  return verdict;
}

}  // namespace sluice::oracle

// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/long_body.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "dataplane/http/content_decoder.h"
#include "dataplane/http/json.h"
#include "dataplane/http/multipart.h"
#include "dataplane/http/xml.h"
#include "dataplane/rules/evaluator.h"
#include "dataplane/rules/matches.h"
#include "dataplane/rules/request_parts.h"
#include "dataplane/rules/scalars.h"
#include "dataplane/rules/scanner.h"
#include "dataplane/rules/score_slots.h"
#include "dataplane/rules/strict_body.h"

namespace sluice::rules {

namespace {

/// The transaction as phase 1 left it, in a region of its own. False: no memory.
bool copy_state(const TransactionState& from, TransactionState& to) {
  Region region;
  region.begin(from.worker->pool, abi::kTransactionBytesMax);
  to = from;
  to.region = region;
  to.matches = nullptr;
  to.match_count = to.match_capacity = 0;
  to.matched = nullptr;
  to.matched_count = 0;
  to.request_body = {};
  to.long_body = nullptr;
  to.stopped = nullptr;
  to.phase = 2;
  bool good = to.values.copy(from.values, to.region) && to.tx.copy(from.tx, to.region) &&
              to.candidates.copy(from.candidates, to.region);
  if (good && from.removals != nullptr) {
    using Removals = std::array<RuleRemoval, abi::kRuleRemovalsMax>;
    to.removals = to.region.allocate_array<Removals>(1);
    good = to.removals != nullptr;
    if (good) *to.removals = *from.removals;
  }
  if (!good) to.region.release();
  return good;
}

}  // namespace

/// What a decoder reads in one call, and the buffer: a batch, and a large segment behind it.
constexpr std::size_t kPieceBytes = 4096;
constexpr std::size_t kRawBytes = abi::kLongBatchBytes + 4 * kPieceBytes;

/// The reader of one long body, and the batch that it fills.
class LongBody {
 public:
  explicit LongBody(TransactionState& state) : state_(state) {}

  bool open() {
    std::size_t arena_bytes = abi::kLongDecoderBytes;
    if (state_.processor == http::BodyProcessor::kXml) {
      arena_bytes = abi::kXmlMemoryBytes + 64 * 1024;
    } else if (state_.processor == http::BodyProcessor::kJson &&
               json_limits(state_).find_duplicate_keys) {
      arena_bytes += abi::kJsonKeyTableBytes;
    }
    auto* memory = state_.region.allocate_array<std::uint8_t>(arena_bytes);
    raw_ = state_.region.allocate_array<std::uint8_t>(kRawBytes);
    if (memory == nullptr || raw_ == nullptr) return false;
    arena_ = base::Arena({memory, arena_bytes});
    switch (state_.processor) {
      case http::BodyProcessor::kNone:
      case http::BodyProcessor::kUrlencoded:
        break;
      case http::BodyProcessor::kJson:
        json_.emplace(arena_, json_limits(state_));
        break;
      case http::BodyProcessor::kMultipart:
        multipart_.emplace(arena_, http::multipart_boundary(request_content_type(state_)));
        break;
      case http::BodyProcessor::kXml:
        xml_.emplace(arena_);
        break;
    }
    return true;
  }

  /// Bytes that go_on() reads: they stay where they are until it is done.
  void wait(Bytes kept, Bytes more) { waiting_ = {kept, more}; }
  /// Bytes borrowed for the call: all are read now, and go_on() judges the batch that they fill.
  /// More than a segment has may fill several, and all but the last are judged here.
  void feed(Bytes bytes) {
    while (!bytes.empty() && !state_.failed()) {
      while (is_full()) judge_now();
      read(next_piece(bytes));
    }
  }
  /// Reads what waits, judges what is due. False: the slice is over.
  bool go_on() {
    while (!state_.failed()) {
      if (is_judging_) {
        if (!judge_on()) return false;
      } else if (is_due()) {
        begin_batch();
      } else if (!waiting_[0].empty() || !waiting_[1].empty()) {
        read(next_piece(waiting_[0].empty() ? waiting_[1] : waiting_[0]));
      } else if (state_.stage == Stage::kLongBodyEnd && !has_ended_) {
        has_ended_ = true;
        finish();
      } else {
        return true;
      }
      state_.worker->slice.look_soon();
      if (state_.slice_over()) return false;
    }
    return true;
  }

 private:
  void finish() {
    if (json_) {
      error_ |= error_ || !json_->finish(*this);
      fail_json(state_, json_->reason());
      note_strict(state_, json_->strict_failures());
    } else if (multipart_) {
      error_ = !multipart_->finish(*this);
      note_strict(state_, multipart_->strict_failures());
      if (multipart_->reason() != abi::Reason::kNone) state_.fail(multipart_->reason());
    } else if (xml_) {
      error_ |= error_ || !xml_->finish(*this);
      note_strict(state_, xml_->strict_failures());
      if (xml_->reason() != abi::Reason::kNone) state_.fail(xml_->reason());
      end_value(VariableId::kXml, "/*");
    }
  }

 public:
  void drop() {
    if (!batch_open_) return;
    batch_.give_up_work();
    batch_.region.release();
    batch_open_ = false;
  }
  /// What is known at the end only, for the rules' last run over the request.
  void set_totals() {
    const std::uint64_t total = state_.request_body.total;
    const std::uint32_t limit = state_.header().settings.arguments_limit;
    set_scalar(state_, VariableId::kInboundDataError, "0");
    set_body_error(state_, error_ || (json_ && limit != 0 && arguments_ > limit), error_text());
    if (multipart_) {
      set_multipart_flags(state_, multipart_->flags());
      set_number(state_, VariableId::kFilesCombinedSize, all_files_bytes_);
      set_no_files_error(state_, no_files_bytes_);
    } else if (state_.processor != http::BodyProcessor::kNone) {
      set_no_files_error(state_, total);
    }
    set_number(state_, VariableId::kRequestBodyLength, total);
    set_number(state_, VariableId::kFullRequestLength, state_.request->raw.size() + total);
    set_combined_size(state_, argument_bytes_);
  }

  // The decoders' sink.
  void name(Bytes piece) { set_key(base::as_text(piece)); }
  void value(Bytes piece) {
    argument_bytes_ += piece.size();
    add_text(VariableId::kArgs, piece);
  }
  void end() {
    argument_bytes_ += key_size_;
    ++arguments_;
    end_value(VariableId::kArgs, key());
  }
  void text(Bytes piece) {
    set_key("/*");
    add_text(VariableId::kXml, piece);
  }
  void text_end() {
    add_xml_node();
    node_start_ = raw_size_;
  }
  void reference(Bytes piece) {
    text(piece);
    node_start_ = raw_size_;
  }
  void attribute(std::string_view, std::string_view value) {
    if (!open_batch()) return;
    add_member(batch_, VariableId::kXml, "//@*", base::as_bytes(batch_.keep(value)));
    batch_bytes_ += value.size();
  }
  void part_begin(const http::MultipartPart& part) {
    is_file_ = part.has_filename && !part.filename.empty();
    file_bytes_ = 0;
    set_key(part.name);
    if (!open_batch()) return;
    const std::string_view key = batch_.keep(part.name);
    add_member(batch_, VariableId::kMultipartName, key, base::as_bytes(key));
    if (!part.has_filename) return;
    const std::string_view filename = batch_.keep(part.filename);
    add_member(batch_, VariableId::kMultipartFilename, filename, base::as_bytes(filename));
    if (is_file_) add_member(batch_, VariableId::kFiles, key, base::as_bytes(filename));
  }
  void part_header(std::string_view line) {
    if (!open_batch()) return;
    add_member(batch_, VariableId::kMultipartPartHeaders, batch_.keep(key()),
               base::as_bytes(batch_.keep(line)));
  }
  void part_data(Bytes piece) {
    file_bytes_ += piece.size();
    if (!is_file_) {
      add_text(VariableId::kArgsPost, piece);
    } else if (is_used(state_, VariableId::kFilesTmpContent)) {
      add_text(VariableId::kFilesTmpContent, piece);
    }
  }
  void part_end() {
    (is_file_ ? all_files_bytes_ : no_files_bytes_) += file_bytes_;
    if (!is_file_) {
      argument_bytes_ += key_size_ + file_bytes_;
      end_value(VariableId::kArgsPost, key());
      return;
    }
    if (is_used(state_, VariableId::kFilesTmpContent)) {
      end_value(VariableId::kFilesTmpContent, key());
    }
    if (!is_used(state_, VariableId::kFilesSizes) || !open_batch()) return;
    const auto size = static_cast<std::int64_t>(file_bytes_);
    add_member(batch_, VariableId::kFilesSizes, batch_.keep(key()),
               base::as_bytes(batch_.keep(number_text(batch_, size))));
  }

 private:
  [[nodiscard]] std::string_view error_text() const {
    if (json_) return json_->error_text();
    if (multipart_) return multipart_->error_text();
    return xml_ ? xml_->error_text() : std::string_view();
  }
  [[nodiscard]] std::string_view key() const { return {key_.data(), key_size_}; }
  void set_key(std::string_view key) {
    key_size_ = std::min(key.size(), key_.size());
    std::copy_n(key.data(), key_size_, key_.data());
  }

  /// A copy of the transaction to put values into.
  bool open_batch() {
    if (batch_open_) return !batch_.failed();
    if (state_.failed()) return false;
    if (!copy_state(state_, batch_)) {
      state_.fail_memory();
      return false;
    }
    batch_open_ = true;
    batch_first_ = batch_.values.size();
    batch_.stage = Stage::kScan;
    batch_.next_scan = 2 * batch_first_;
    batch_.next_position = 0;
    batch_.is_batch = true;
    batch_.steps_left = abi::kRuleStepsBase;
    batch_.grant(abi::kLongBatchBytes);
    batch_.batch_first = batch_first_;
    return true;
  }

  /// Bytes of the value under way; a full buffer is judged, and its end begins the next piece.
  void add_text(VariableId variable, Bytes piece) {
    while (!piece.empty() && !state_.failed()) {
      const std::size_t room = abi::kLongBatchBytes - raw_size_;
      const Bytes part = piece.first(std::min(room, piece.size()));
      std::memcpy(raw_ + raw_size_, part.data(), part.size());
      raw_size_ += part.size();
      piece = piece.subspan(part.size());
      if (raw_size_ < abi::kLongBatchBytes) return;
      add_value(variable, key());
      // A node that begins in what stays is judged when it ends.
      const std::size_t gone = raw_size_ - abi::kLongOverlapBytes;
      if (node_start_ < gone) add_xml_node();
      node_start_ -= std::min(node_start_, gone);
      std::memmove(raw_, raw_ + gone, abi::kLongOverlapBytes);
      raw_size_ = abi::kLongOverlapBytes;
    }
  }
  /// The text node under way, the last part of the text in the buffer.
  void add_xml_node() {
    if (!xml_ || !state_.ruleset->reads_xml_texts() || !open_batch()) return;
    const Bytes text = batch_.keep(Bytes{raw_ + node_start_, raw_size_ - node_start_});
    add_member(batch_, VariableId::kXml, kXmlTexts, text);
    batch_bytes_ += text.size();
  }
  void end_value(VariableId variable, std::string_view key) {
    add_value(variable, key);
    raw_size_ = 0;
  }
  void add_value(VariableId variable, std::string_view key) {
    if (!open_batch()) return;
    const Bytes text = batch_.keep(Bytes{raw_, raw_size_});
    add_member(batch_, variable, batch_.keep(key), text);
    batch_bytes_ += raw_size_ + key.size();
  }

  /// Forms and bodies of no processor are read from the buffer itself.
  [[nodiscard]] bool reads_raw() const { return !json_ && !multipart_ && !xml_; }
  /// Takes the next bytes that one call of a decoder reads off `bytes`.
  static Bytes next_piece(Bytes& bytes) {
    const Bytes piece = bytes.first(std::min(kPieceBytes, bytes.size()));
    bytes = bytes.subspan(piece.size());
    return piece;
  }
  void read(Bytes piece) {
    read_bytes_ += piece.size();
    if (json_) {
      error_ |= !error_ && !json_->feed(piece, *this);
    } else if (multipart_) {
      multipart_->feed(piece, *this);
    } else if (xml_) {
      error_ |= !error_ && !xml_->feed(piece, *this);
    } else {
      std::memcpy(raw_ + raw_size_, piece.data(), piece.size());
      raw_size_ += piece.size();
    }
  }
  [[nodiscard]] std::size_t batch_values() const {
    return batch_open_ ? batch_.values.size() - batch_first_ : 0;
  }
  /// A batch is to be judged before more is read, if that can wait until then.
  [[nodiscard]] bool is_due() const {
    if (reads_raw()) return raw_size_ >= abi::kLongBatchBytes || (has_ended_ && raw_size_ != 0);
    return batch_bytes_ >= abi::kLongBatchBytes || batch_values() >= abi::kLongBatchValues ||
           (has_ended_ && batch_open_);
  }
  /// The next piece might find no room.
  [[nodiscard]] bool is_full() const {
    if (reads_raw()) return raw_size_ + kPieceBytes > kRawBytes;
    return batch_bytes_ >= 2 * abi::kLongBatchBytes ||
           batch_values() >= 2 * std::size_t{abi::kLongBatchValues};
  }

  /// The buffer is cut behind its last argument, or anywhere, and all of it at the end.
  void begin_raw() {
    const std::string_view all(reinterpret_cast<const char*>(raw_), raw_size_);
    const bool is_form = state_.processor == http::BodyProcessor::kUrlencoded;
    const char separator = static_cast<char>(state_.header().settings.argument_separator);
    const std::size_t last = is_form && !has_ended_ ? all.rfind(separator) : std::string_view::npos;
    cut_behind_argument_ = last != std::string_view::npos;
    judged_size_ = cut_behind_argument_ ? last : raw_size_;
    batch_to_ -= raw_size_ - judged_size_;
    const Bytes part{raw_, judged_size_};
    if (part.empty() || !open_batch()) return end_raw();
    batch_.request_body.data = raw_;
    batch_.request_body.size = batch_.request_body.total = judged_size_;
    add_body_values(batch_);
    count_arguments();
  }
  /// Moves to the front what the next batch begins with.
  void end_raw() {
    if (has_ended_) {
      raw_size_ = 0;
    } else if (cut_behind_argument_) {
      raw_size_ -= judged_size_ + 1;
      std::memmove(raw_, raw_ + judged_size_ + 1, raw_size_);
    } else {
      // The rest of a long value goes on under its name.
      const std::string_view all(reinterpret_cast<const char*>(raw_), raw_size_);
      const bool is_form = state_.processor == http::BodyProcessor::kUrlencoded;
      const std::size_t equals = is_form ? all.find('=') : std::string_view::npos;
      const std::size_t head = equals < key_.size() ? equals + 1 : 0;
      std::memmove(raw_ + head, raw_ + raw_size_ - abi::kLongOverlapBytes, abi::kLongOverlapBytes);
      raw_size_ = head + abi::kLongOverlapBytes;
      repeated_bytes_ = raw_size_ - (head > 0 ? 1 : 0);
    }
  }
  /// What the batch has again of the value before it counts once.
  void count_arguments() {
    std::uint64_t bytes = 0;
    for (std::uint16_t i = batch_.values.first(VariableId::kArgsPost); i != kNoValue;
         i = batch_.values.at(i).next) {
      bytes += batch_.values.at(i).bytes + batch_.values.at(i).name_bytes;
    }
    argument_bytes_ += bytes - std::min<std::uint64_t>(bytes, repeated_bytes_);
    repeated_bytes_ = 0;
  }

  void begin_batch() {
    batch_from_ = std::exchange(batch_to_, read_bytes_);
    if (reads_raw()) begin_raw();
    const std::size_t bytes = reads_raw() ? judged_size_ : batch_bytes_;
    if (batch_open_ && bytes > abi::kLongBatchBytes) batch_.grant(bytes - abi::kLongBatchBytes);
    batch_bytes_ = 0;
    is_judging_ = batch_open_;
  }
  /// Scans and rules of the batch. False: the slice is over.
  bool judge_on() {
    batch_.stops = state_.stops;
    batch_.worker->slice.look_soon();
    if (batch_.stage == Stage::kScan) {
      if (!scan_values(batch_)) return false;
      batch_.stage = batch_.failed() ? Stage::kDone : Stage::kRules;
    }
    if (batch_.stage == Stage::kRules && !run_phase(batch_, 2)) return false;
    end_batch();
    return true;
  }
  void judge_now() {
    const bool stops = std::exchange(state_.stops, false);
    begin_batch();
    if (is_judging_) (void)judge_on();
    state_.stops = stops;
  }
  void end_batch() {
    batch_open_ = is_judging_ = false;
    batch_.worker->arena.reset();
    state_.exact = false;
    if (batch_.verdict.action > state_.verdict.action) state_.verdict = batch_.verdict;
    state_.strict_failures |= batch_.strict_failures;
    if (batch_.failed()) {
      state_.limits = batch_.limits;
      state_.limit_count = batch_.limit_count;
    }
    state_.batches_inbound =
        std::max(state_.batches_inbound, state_.ruleset->score_slots().inbound(batch_.tx));
    for (std::uint32_t i = 0; i < batch_.match_count; ++i) keep_match(batch_.matches[i]);
    batch_.region.release();
    if (reads_raw()) end_raw();
  }
  /// A copy of a batch's match: the batch's memory goes to the next one. What explains the verdict
  /// is always kept, the rest as long as it leaves memory for the request.
  void keep_match(const RuleMatch& match) {
    const bool has_room = state_.match_count < abi::kRuleMatchesMax &&
                          state_.region.bytes() < abi::kTransactionBytesMax / 2;
    if (!match.blocking && (!has_room || is_reported(state_, match.rule_index))) return;
    RuleMatch copy = match;
    if (match.body_to != 0) {
      copy.body_from = batch_from_;
      copy.body_to = batch_to_;
    }
    for (auto* text : {&copy.target, &copy.message, &copy.logdata}) *text = state_.keep(*text);
    for (Bytes* part : {&copy.value, &copy.matched, &copy.source}) *part = state_.keep(*part);
    add_match(state_, copy);
  }

  TransactionState& state_;
  TransactionState batch_;
  base::Arena arena_;
  std::optional<http::JsonDecoder> json_;
  std::optional<http::MultipartDecoder> multipart_;
  std::optional<http::XmlDecoder> xml_;
  std::array<Bytes, 2> waiting_ = {};
  std::uint8_t* raw_ = nullptr;  ///< kRawBytes: the value under way, or the body as it came
  std::size_t node_start_ = 0;   ///< where in it the text node of XML under way begins
  std::size_t raw_size_ = 0, judged_size_ = 0, batch_bytes_ = 0, key_size_ = 0;
  std::uint64_t file_bytes_ = 0, all_files_bytes_ = 0, no_files_bytes_ = 0, argument_bytes_ = 0,
                repeated_bytes_ = 0, read_bytes_ = 0;
  std::uint64_t batch_from_ = 0, batch_to_ = 0;  ///< of the body, in which the batch's values end
  std::uint32_t arguments_ = 0, batch_first_ = 0;
  std::array<char, 512> key_ = {};
  bool batch_open_ = false, is_judging_ = false, has_ended_ = false;
  bool cut_behind_argument_ = false, is_file_ = false, error_ = false;
};

void start_long_body(TransactionState& state, Bytes bytes) {
  for (const http::Field& field : state.request->fields) {
    if (field.id != http::FieldId::kContentEncoding) continue;
    const http::ContentCoding coding = http::content_coding(field.value);
    if (coding != http::ContentCoding::kIdentity && coding != http::ContentCoding::kUnsupported) {
      return state.fail(abi::Reason::kBodyTooLarge);
    }
  }
  void* memory = state.region.allocate(sizeof(LongBody), alignof(LongBody));
  if (memory == nullptr) return state.fail_memory();
  state.long_body = new (memory) LongBody(state);
  if (!state.long_body->open()) return state.fail_memory();
  check_body_label(state, state.request_body.view());
  state.request_body.total += bytes.size();
  if (bytes.size() <= kRawBytes - abi::kLongBatchBytes) {
    return state.long_body->wait(state.request_body.view(), state.keep(bytes));
  }
  state.long_body->feed(state.request_body.view());
  state.long_body->feed(bytes);
}

void feed_long_body(TransactionState& state, Bytes bytes) {
  state.request_body.total += bytes.size();
  state.long_body->feed(bytes);
}

bool go_on_long_body(TransactionState& state) {
  if (!state.failed() && !state.long_body->go_on()) return false;
  if (!state.failed() && state.stage == Stage::kLongBodyEnd) state.long_body->set_totals();
  return true;
}

void drop_long_body(TransactionState& state) { state.long_body->drop(); }

}  // namespace sluice::rules

// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <vector>

#include "dataplane/base/bytes.h"

namespace sluice::rules::test {

/// One line of a vector file of ours. In the files each character U+0000..U+00FF of a JSON string
/// stands for one byte.
struct TransformVector {
  std::string input, output;
};

/// tests/unit/rules/vectors/<name>.json. Throws when it is missing or malformed.
std::vector<TransformVector> load_transform_vectors(const std::string& name);

/// The same for an operator.
struct OperatorVector {
  std::string argument, value;
  bool match = false;
};
std::vector<OperatorVector> load_operator_vectors(const std::string& name);

/// One line of a file of ../shared/corpora, its `\xHH` and `\uHHHH` texts turned into bytes as the
/// ModSecurity v3 test program does.
struct CorpusVector {
  std::string file, name, type, input, param, output;
  int ret = 0;
};

/// The folder of the corpora: SLUICE_CORPORA, or ../shared/corpora beside the source tree; empty
/// when there is none.
std::string corpora_folder();
std::vector<CorpusVector> load_corpus(const std::string& path);

/// Printable form for failure messages.
std::string show(base::Bytes bytes);

/// A copy of `text` that ends at the end of a page with no readable page behind it, so that reading
/// too far crashes. Lives until the next call.
base::Bytes at_page_end(const std::string& text);

}  // namespace sluice::rules::test
